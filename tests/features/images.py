"""Images made in memory for the tests of `features`: none is committed."""

import io
import struct
import zlib

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"


def picture(height: int = 80, width: int = 96, *, seed: int = 0) -> np.ndarray:
    """uint8, smooth blobs and a little noise: survives JPEG, and has structure at every scale."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(
        random.uniform(0, 200, (7, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(coarse + random.normal(0, 4, (height, width)) + 20, 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, *, quality: int = 95, progressive: bool = False) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG put together by hand: ``rows`` with their filter bytes, ``extra`` chunks before the picture data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def exif(orientation: int, order: str = "<") -> bytes:
    """A TIFF block whose only entry is the orientation."""
    magic = b"II*\x00" if order == "<" else b"MM\x00*"
    return magic + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def with_exif(data: bytes, orientation: int, order: str = "<") -> bytes:
    """The JPEG with an EXIF segment right after its start marker."""
    body = b"Exif\x00\x00" + exif(orientation, order)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def dicom(
    pixels: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, raw: bytes | None = None, **elements: object
) -> bytes:
    """A DICOM file of one frame; ``elements`` add to or replace its attributes, None removes one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DIGITAL_XRAY
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(
        "",
        {},
        file_meta=meta,
        preamble=b"\x00" * 128,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
    dataset.SOPClassUID = DIGITAL_XRAY
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    bits = pixels.dtype.itemsize * 8
    dataset.update(_image_module(pixels, bits))
    dataset.PixelData = pixels.tobytes() if raw is None else raw
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    if raw is not None:
        dataset["PixelData"].is_undefined_length = True
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _image_module(pixels: np.ndarray, bits: int) -> Dataset:
    module = Dataset()
    module.SamplesPerPixel = 1
    module.PhotometricInterpretation = "MONOCHROME2"
    module.Rows, module.Columns = pixels.shape[-2:]
    module.BitsAllocated = module.BitsStored = bits
    module.HighBit = bits - 1
    module.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    return module
