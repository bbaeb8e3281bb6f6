() => {
  // Files that are dropped on the page or pasted into it go where a chosen file goes, in the tab that is shown.
  const give = (target, files) => {
    const shown = [...document.querySelectorAll(".bs-pick")].filter((button) => button.checkVisibility());
    const within = target?.closest?.(".bs-many");
    const button = shown.find((button) => within?.contains(button)) ?? shown[0];
    const input = button?.parentElement.querySelector("input[type=file]");
    if (!input || !files.length) return false;
    const transfer = new DataTransfer();
    for (const file of input.multiple ? files : [files[0]]) transfer.items.add(file);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    give(event.target, event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => give(null, event.clipboardData?.files ?? []) && event.preventDefault());

  // A box for texts is written in the direction of its first letter. With dir="auto" a browser takes many seconds to lay
  // out a megabyte.
  const rightToLeft = /^\P{L}*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
  const direct = () => {
    for (const box of document.querySelectorAll(".bs-text textarea")) {
      const direction = rightToLeft.test(box.value.slice(0, 1000)) ? "rtl" : "ltr";
      if (box.dir !== direction) box.dir = direction;
    }
  };
  document.addEventListener("input", direct);

  // A button that carries a pick is drawn anew when it was pressed. The focus goes to the one that does the same, else to
  // the one that took its place, else to the box above: so the keyboard goes on from there.
  let held = null;
  document.addEventListener("focusin", ({ target }) => {
    const pick = target.dataset?.pick;
    const part = pick === undefined ? null : target.closest("[id]");
    held = part && { target, pick, id: part.id, place: [...part.querySelectorAll("[data-pick]")].indexOf(target) };
  });
  const hold = () => {
    if (!held || held.target.isConnected) return;
    const part = document.getElementById(held.id);
    const buttons = [...(part?.querySelectorAll("[data-pick]") ?? [])];
    const same = buttons.find((button) => button.dataset.pick === held.pick);
    const next = same ?? buttons[Math.min(held.place, buttons.length - 1)];
    held = null;
    if (document.activeElement && document.activeElement !== document.body) return;
    (next ?? part?.closest(".column")?.querySelector("input, textarea"))?.focus();
  };

  // Screen readers hear what appears with data-say.
  const voice = document.createElement("div");
  voice.className = "bs-voice";
  voice.setAttribute("role", "status");
  document.body.append(voice);
  new MutationObserver(() => {
    direct(); // an example came into a box
    hold();
    const said = [...document.querySelectorAll("[data-say]")].map((element) => element.dataset.say).join(". ");
    if (voice.textContent !== said) voice.textContent = said;
  }).observe(document.querySelector("gradio-app") ?? document.body, {
    childList: true,
    subtree: true,
    attributeFilter: ["data-say"],
  });
}
