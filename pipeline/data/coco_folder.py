"""The images of COCO 2017 in a folder, found for annotations that name them otherwise."""

from pathlib import PurePosixPath

from pipeline.data.images import possible_names

IMAGE_FOLDERS = {"train2017": "train_images", "val2017": "val_images"}


def folders_of(documents) -> set[str]:
    """Which of ``IMAGE_FOLDERS`` the annotations need; both where an image does not say."""
    homes = {home(image) for document in documents.values() for image in document["images"]}
    return set(IMAGE_FOLDERS) if None in homes else homes


def home(image):
    folder = PurePosixPath(image.get("coco_url") or "").parent.name
    return folder if folder in IMAGE_FOLDERS else None


def place_images(images, root, split) -> None:
    """Set each ``file_name`` to train2017/<number>.jpg or val2017/<number>.jpg.

    The name comes from v1's coco_url or from v0.5's file_name, COCO_val2014_<number>.jpg. The
    folder is the one that has the file. (v0.5 tells of 2014's split there: of no use.)
    """
    folders = [root / folder for folder in IMAGE_FOLDERS if (root / folder).is_dir()]
    present = {folder.name: {path.name for path in folder.iterdir()} for folder in folders}
    missing = []
    for image in images:
        names = possible_names(image)
        folder = next((f for f, files in present.items() if names[-1] in files), None)
        image["file_name"] = f"{folder}/{names[-1]}"
        if not folder:
            missing.append(names[-1])
    if missing:
        raise ValueError(
            f"{split}: {len(missing)} of {len(images)} images are not in {' or '.join(present)} of "
            f"{root}; the first: {missing[0]}; add them, or move the folder away to have it "
            "downloaded"
        )
