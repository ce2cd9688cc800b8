"""Models in the format of the Hugging Face Hub: a folder with ``model.safetensors``, ``config.json`` and a model card.

Needs the extra ``[hub]``. A local folder needs no network. Nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from associative_embedding.inference.predictor import Predictor
from associative_embedding.io.files import atomic_write
from associative_embedding.model_files.checkpoint import load_model, save_model
from associative_embedding.model_files.find import check_hub_size
from associative_embedding.model_files.model_info import MODEL_FILE, ModelInfo
from associative_embedding.networks.network import Network

try:
    from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
except ImportError as missing:
    raise ImportError(
        "models of the Hugging Face Hub need huggingface_hub: pip install 'associative-embedding[hub]'",
        name=missing.name,
    ) from None

# The hub lists models by these words, which it defines.
PIPELINES = {"pose": "keypoint-detection", "single-person": "keypoint-detection", "segmentation": "image-segmentation"}
CARD = """\
---
library_name: associative-embedding
pipeline_tag: {pipeline}
tags:
- associative-embedding
---

# {title}

A model of the task {task} for [associative-embedding](https://arxiv.org/abs/1611.05424): backbone {backbone},
{size} pixels, {parameters} million parameters. It finds {finds}.

```python
import associative_embedding as ae

found = ae.load("path/of/this/folder")("photo.jpg")
```

What it was trained and measured on, where it fails, and its licence: to be written by whoever trained it.
"""


class Pretrained(ModelHubMixin):
    """A network and its description, with the three methods of huggingface_hub.

    ``Pretrained.from_pretrained("folder" or "owner/name", device="cpu")`` reads one, ``.save_pretrained("folder")``
    writes a folder, and ``.push_to_hub("owner/name")`` uploads it. An existing ``README.md`` is not replaced.

    Args:
        network: in eval mode.
        info: the description in the model file.
    """

    def __init__(self, network: Network, info: ModelInfo) -> None:
        self.network, self.info = network, info

    def predictor(self, **settings: Any) -> Predictor:
        """Returns a predictor.

        Args:
            settings: fields of `Options`.
        """
        return Predictor(self.network, self.info, **settings)

    def _save_pretrained(self, save_directory: Path) -> None:
        save_model(save_directory / MODEL_FILE, self.network, self.info)
        atomic_write(save_directory / "config.json", self.info.to_json().encode() + b"\n")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Pretrained:
        """Reads a local folder or a model of the hub.

        Only the model file is read. huggingface_hub would read ``config.json`` too, whatever its size and content.

        Args:
            pretrained_model_name_or_path: folder or ``owner/name``.
            options: revision, token, cache_dir, force_download and local_files_only of huggingface_hub; and device.

        Raises:
            ValueError: when the file is no model, or too large.
        """
        return cls._from_pretrained(model_id=str(pretrained_model_name_or_path), **options)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        device: str | torch.device = "cpu",
        **unused: Any,
    ) -> Pretrained:
        # huggingface_hub would ask its server for a name that is a local folder.
        if Path(model_id).is_dir():
            return cls(*load_model(Path(model_id) / MODEL_FILE, device))
        if not local_files_only:
            check_hub_size(model_id, revision, token)
        path = hf_hub_download(
            model_id,
            MODEL_FILE,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(*load_model(path, device))

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Returns a model card with the facts of the model file. Its author adds training data and metrics."""
        task = self.info.task
        names = [name for category in task.categories for name in category.get("keypoints") or [category["name"]]]
        parameters = sum(p.numel() for p in self.network.parameters()) / 1e6
        return ModelCard(
            CARD.format(
                pipeline=PIPELINES.get(task.name, "keypoint-detection"),
                title=kwargs.get("title", "A model of associative-embedding"),
                task=task.name,
                backbone=self.info.backbone,
                size=self.info.input_size,
                parameters=f"{parameters:.1f}",
                finds=", ".join(names),
            )
        )
