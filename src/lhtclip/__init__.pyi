# The public names and where they live: read by editors and type checkers, and by `__init__.py`.

from .batch.chunks import Shard as Shard
from .batch.label_files import label_files as label_files
from .batch.summary import LabelledImage as LabelledImage
from .batch.summary import RunSummary as RunSummary
from .checkpoints.checkpoint import Checkpoint as Checkpoint
from .checkpoints.checkpoint import load_checkpoint as load_checkpoint
from .config import SegmenterConfig as SegmenterConfig
from .decoding.aliases import AliasSettings as AliasSettings
from .decoding.pamr import PamrSettings as PamrSettings
from .decoding.ptc import PtcSettings as PtcSettings
from .decoding.settings import DecodeSettings as DecodeSettings
from .decoding.tlp import TlpSettings as TlpSettings
from .encoded_image import EncodedImage as EncodedImage
from .encoder import DenseEncoder as DenseEncoder
from .errors import CheckpointError as CheckpointError
from .errors import CheckpointNotFoundError as CheckpointNotFoundError
from .errors import InputError as InputError
from .errors import LhtClipError as LhtClipError
from .errors import MissingDependencyError as MissingDependencyError
from .errors import OutputError as OutputError
from .errors import UnknownNameError as UnknownNameError
from .formats.sink import OutputOptions as OutputOptions
from .formats.sink import Sink as Sink
from .image.settings import ReadingSettings as ReadingSettings
from .image.windows import WindowSettings as WindowSettings
from .methods import METHODS as METHODS
from .methods import LastBlock as LastBlock
from .methods import Method as Method
from .segmentation import Segmentation as Segmentation
from .segmenter import Segmenter as Segmenter
from .server.client import Client as Client
from .techniques.atr import AtrSettings as AtrSettings
from .techniques.presets import Preset as Preset
from .techniques.settings import LhtSettings as LhtSettings
from .techniques.she import SheSettings as SheSettings
from .techniques.ssr import SsrSettings as SsrSettings
from .text.aliases import with_aliases as with_aliases
from .text.embeddings import TextEncoder as TextEncoder
from .text.vocabulary import Vocabulary as Vocabulary

__version__: str
