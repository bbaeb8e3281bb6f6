() => {
  // Files that are dropped on the page or pasted into it go where a chosen file goes.
  const give = (target, files) => {
    const button = target?.closest?.(".bs-many")?.querySelector(".bs-pick") ?? document.querySelector(".bs-pick");
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

  // Screen readers hear what appears with data-say.
  const voice = document.createElement("div");
  voice.className = "bs-voice";
  voice.setAttribute("role", "status");
  document.body.append(voice);
  new MutationObserver(() => {
    const said = [...document.querySelectorAll("[data-say]")].map((element) => element.dataset.say).join(". ");
    if (voice.textContent !== said) voice.textContent = said;
  }).observe(document.querySelector("gradio-app") ?? document.body, {
    childList: true,
    subtree: true,
    attributeFilter: ["data-say"],
  });
}
