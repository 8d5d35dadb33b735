"""The forms that data is read in, and what files of other forms are."""

from collections import Counter
from pathlib import PurePath

from showtell.data.names import few, words
from showtell.data.readers.image_folder import ImageFolder

FORMATS: dict[str, str] = {
    "csv": "captions in a table: image,caption (comma, tab, pipe, semicolon; JSON, .xlsx, .parquet)",
    "labels": "labels in a table: id,breed (the same kinds of files)",
    "classes": "class folders, with or without train/val/test above them",
    "flickr8k": "Flickr8k.token.txt with its image lists",
    "coco": "COCO captions JSON",
    "karpathy": "Karpathy dataset JSON",
    "imagefolder": "Hugging Face image folder: metadata.csv or metadata.jsonl",
    "sidecar": "each image with a text of its name: 7.jpg, 7.txt",
    "webdataset": "images with their texts in .tar files",
}

NOT_TEXT = {
    ".xls": "an old Excel workbook; save it as .xlsx or 'CSV UTF-8'",
    ".mat": "a MATLAB file; write its columns as CSV",
    ".xml": "an XML file (CVAT, VOC); export it as CSV, JSON or COCO",
    ".arrow": "an Arrow file of Hugging Face's save_to_disk; write it by to_parquet",
    ".npy": "a NumPy array; save its images as files",
    ".npz": "an archive of arrays; save its images as files",
}
NOT_TEXT |= dict.fromkeys((".zip", ".gz", ".7z", ".rar"), "an archive; unpack it")
NOT_TEXT |= dict.fromkeys(
    words(".ods .numbers .gsheet .docx .rtf"), "a document; save its table as 'CSV UTF-8'"
)
NOT_TEXT |= dict.fromkeys(words(".tfrecord .tfrecords .tfrec .h5 .hdf5"), NOT_TEXT[".npz"])
"""What the files are that hold no text, and what would be read instead."""

_NO_IMAGES = {
    **dict.fromkeys(words(".dcm .dicom .nii .mha .mhd .nrrd"), "medical images; export them as PNG"),
    **dict.fromkeys(words(".mp4 .mov .avi .mkv .webm .m4v .wmv"), "videos; save frames of them as images"),
    **dict.fromkeys(words(".npy .npz .pt .pth .pkl .h5 .mat"), "arrays; save them as images"),
    ".svg": "drawings; export them as PNG",
    ".pdf": "documents; export their pages as PNG",
    **dict.fromkeys(words(".zip .gz .7z .rar"), "archives; unpack them"),
    **dict.fromkeys(words(".mp3 .wav .flac .ogg .m4a"), "sounds"),
}
"""What the files are that lie in place of images, and what would be read instead."""


def in_place_of_images(folder: ImageFolder) -> list[str]:
    """Say what the files of a folder without images are, a line for each kind."""
    kinds = Counter(PurePath(name).suffix.lower() for name in ([] if folder.images else folder.files))
    if not kinds:
        return []
    counts = few([f"{count:,} {suffix or 'without an ending'}" for suffix, count in kinds.most_common()])
    known = [f"  {suffix}: {_NO_IMAGES[suffix]}" for suffix, _ in kinds.most_common() if suffix in _NO_IMAGES]
    return [f"  none of its files is an image: {counts}", *known]
