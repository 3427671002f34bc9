"""Pictures that are no chest X-ray, which no fitting sees: drawn by a generator, and real ones that packages bring.

Nothing here is used in training: a detector is fitted to chest X-rays alone.
"""

import gzip
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pydicom
import pydicom.data
import skimage
import sklearn.datasets

SIDE = 256
_DOWN, _RIGHT = (np.mgrid[:SIDE, :SIDE] / SIDE).astype(np.float32)


def png_of(pixels: np.ndarray) -> bytes:
    """Grey or RGB values of any range as a PNG; uint8 as they are."""
    if pixels.dtype != np.uint8:
        values = pixels.astype(np.float64)
        low, high = values.min(), values.max()
        pixels = ((values - low) / (high - low or 1.0) * 255).astype(np.uint8)
    return cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1] if pixels.ndim == 3 else pixels))[1].tobytes()


def _white_noise(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def _smooth_noise(random: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(random.standard_normal((SIDE, SIDE)), (0, 0), float(random.uniform(2, 24)))


def _blank(random: np.random.Generator) -> np.ndarray:
    return np.full((SIDE, SIDE), random.integers(0, 256), np.uint8)


def _gradient(random: np.random.Generator) -> np.ndarray:
    angle, centre = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.8, 2)
    if random.random() < 0.5:
        return np.cos(angle) * _DOWN + np.sin(angle) * _RIGHT
    return np.hypot(_DOWN - centre[0], _RIGHT - centre[1])


def _checkerboard(random: np.random.Generator) -> np.ndarray:
    cells = random.integers(3, 20)
    return ((_DOWN * cells).astype(int) + (_RIGHT * cells).astype(int)) % 2


def _document(random: np.random.Generator) -> np.ndarray:
    page = np.full((SIDE * 2, SIDE * 2), 245, np.uint8)
    for line in range(30, 490, int(random.integers(16, 30))):
        text = "".join(random.choice(list("abcdefghij klmnop qrstu vwxyz"), int(random.integers(15, 48))))
        cv2.putText(page, text, (25, line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 20, 1, cv2.LINE_AA)
    return page


def _screenshot(random: np.random.Generator) -> np.ndarray:
    shown = np.full((300, 480), random.integers(200, 250), np.uint8)
    cv2.rectangle(shown, (0, 0), (480, 24), 60, -1)
    for _ in range(int(random.integers(4, 14))):
        left, top, wide, high = random.integers([0, 30, 40, 15], [400, 260, 200, 120])
        cv2.rectangle(shown, (left, top), (left + wide, top + high), int(random.integers(30, 255)), -1)
        cv2.putText(shown, "Open file", (left + 4, top + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 10, 1, cv2.LINE_AA)
    return shown


def _hand(random: np.random.Generator) -> np.ndarray:
    """An X-ray of a hand: five rays of bones with joints on a soft palm, on black."""
    soft, bone = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    turn = float(random.uniform(-0.2, 0.2))
    cv2.ellipse(soft, (128, 178), (52, 62), 0, 0, 360, 110, -1)
    for finger, spread in enumerate(np.linspace(-0.75, 0.55, 5) + turn):
        at, length = np.array([128 + 16 * (finger - 2), 205.0]), (50, 58, 62, 58, 46)[finger] * random.uniform(0.9, 1.1)
        for part in (1.0, 0.55, 0.4):
            end = at + length * part * np.array([np.sin(spread), -np.cos(spread)])
            near, far = at.astype(int).tolist(), end.astype(int).tolist()
            cv2.line(soft, near, far, 120, 26, cv2.LINE_AA)
            cv2.line(bone, near, far, 130, 9, cv2.LINE_AA)
            at = end + 4 * np.array([np.sin(spread), -np.cos(spread)])
    picture = cv2.GaussianBlur(soft, (0, 0), 3).astype(float) + cv2.GaussianBlur(bone, (0, 0), 1)
    return picture + random.normal(0, 3, picture.shape)


def _long_bone(random: np.random.Generator) -> np.ndarray:
    """An X-ray of a limb: two shafts with broad ends in soft tissue."""
    away = _RIGHT - 0.5 + float(random.uniform(-0.2, 0.2)) * (_DOWN - 0.5)
    soft = 90 * np.exp(-((away / float(random.uniform(0.2, 0.3))) ** 4))
    for middle in (-0.07, 0.09):
        width = 0.035 + 0.04 * (2 * np.abs(_DOWN - 0.5)) ** 6
        inside = np.exp(-(((away - middle) / width) ** 4))
        soft += 90 * inside - 35 * np.exp(-(((away - middle) / (0.5 * width)) ** 2))
    return soft + random.normal(0, 3, soft.shape)


def _scene(random: np.random.Generator) -> np.ndarray:
    """What a photograph has: fractal texture, a horizon, things with edges."""
    across = np.fft.fftfreq(SIDE)
    power = np.hypot(across[:, None], across[None]) + 1 / SIDE
    phases = np.exp(2j * np.pi * random.random((SIDE, SIDE)))
    picture = np.real(np.fft.ifft2(phases / power ** random.uniform(1.0, 1.5)))
    picture = picture / picture.std() + 2 * (random.uniform(0.3, 0.7) > _DOWN)
    for _ in range(int(random.integers(2, 8))):
        centre, radius = random.uniform(0, 1, 2), random.uniform(0.03, 0.2)
        picture[np.hypot(_DOWN - centre[0], _RIGHT - centre[1]) < radius] += random.normal(0, 2)
    return picture


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "white noise": _white_noise,
    "smooth noise": _smooth_noise,
    "blank": _blank,
    "gradient": _gradient,
    "checkerboard": _checkerboard,
    "document": _document,
    "screenshot": _screenshot,
    "hand": _hand,
    "limb": _long_bone,
    "scene": _scene,
}


def generated(kind: str, count: int) -> list[bytes]:
    """The first pictures of a kind; the same each time."""
    return [png_of(KINDS[kind](np.random.default_rng((7, index)))) for index in range(count)]


def packaged() -> dict[str, list[bytes]]:
    """Real pictures by the package that brings them: photographs, scans, drawings, CT, MR, ultrasound."""
    return {"skimage.data": list(_skimage()), "pydicom": list(_pydicom()), "others": list(_others())}


def _skimage() -> Iterator[bytes]:
    folder = Path(skimage.__file__).parent / "data"
    for path in sorted(folder.iterdir()):
        if path.suffix in (".png", ".jpg") and min(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape) >= 32:
            yield path.read_bytes()
            yield png_of(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))  # without colour to tell it by
    for face in np.load(folder / "lfw_subset.npy")[:200:10]:
        yield png_of(cv2.resize(face, (100, 100), interpolation=cv2.INTER_CUBIC))


def _pydicom() -> Iterator[bytes]:
    seen = set()
    for path in sorted(Path(pydicom.data.__file__).parent.rglob("*")):
        if not path.is_file() or path.suffix in (".py", ".json", ".txt", ".md"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels = pydicom.dcmread(path, force=True).pixel_array
        except Exception:  # many of them are broken on purpose
            continue
        if pixels.ndim == 4 or (pixels.ndim == 3 and pixels.shape[2] != 3):
            pixels = pixels[len(pixels) // 2]
        picture = png_of(pixels)
        if min(pixels.shape[:2]) >= 32 and picture not in seen:
            seen.add(picture)
            yield picture


def _others() -> Iterator[bytes]:
    for path in sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg")):
        yield path.read_bytes()
        yield png_of(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    data = Path(matplotlib.get_data_path())
    yield from (path.read_bytes() for path in sorted(data.glob("sample_data/*.[jp][pn]g")))
    yield from (path.read_bytes() for path in sorted(data.glob("images/*_large.png")))
    with gzip.open(data / "sample_data" / "s1045.ima.gz") as file:
        yield png_of(np.frombuffer(file.read(), "<u2").reshape(256, 256))
    yield png_of(np.load(data / "sample_data" / "topobathy.npz")["topo"])
    yield png_of(np.load(data / "sample_data" / "jacksboro_fault_dem.npz")["elevation"])
