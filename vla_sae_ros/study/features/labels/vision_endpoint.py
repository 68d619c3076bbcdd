"""Questions with pictures to a vision model behind an OpenAI-compatible HTTP interface."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, bounded, complaint

KEY_VARIABLE = "VLA_SAE_VISION_KEY"
_SECONDS = 300.0  # a local model on a CPU is slow
_ATTEMPTS = 3
_LONGEST_BODY = 300


class EndpointError(VlaSaeError):
    """The endpoint did not answer a question; what it answered before is kept."""


@dataclass(frozen=True)
class Answer:
    """What a model answered. tokens: of question and answer, as the endpoint counts them, or 0."""

    text: str
    tokens: int


class VisionEndpoint:
    """Asks one model; close it after use.

    Args:
        url: base of the interface, as "http://localhost:8000/v1" of vLLM or llama.cpp.
        model: the model's name there.

    Raises:
        ConfigurationError: the url is no http or https address.
    """

    def __init__(self, url: str, model: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ConfigurationError(
                complaint(
                    "--describe",
                    url,
                    "http://HOST:PORT/v1 or https://HOST/v1",
                    f"A key belongs into the environment variable {KEY_VARIABLE}.",
                )
            )
        self.url, self.model = url.rstrip("/"), model
        key = os.environ.get(KEY_VARIABLE, "")
        # Redirects are not followed: the pictures go to the address that was named, and no further.
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=_SECONDS,
            transport=httpx.HTTPTransport(retries=_ATTEMPTS - 1),
        )

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def ask(self, parts: Sequence[str | bytes]) -> Answer:
        """Send texts and JPEG pictures in their order, and return the answer.

        Raises EndpointError when no answer comes.
        """
        content = [_part(one) for one in parts]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0.0,
        }
        try:
            response = self._http.post(f"{self.url}/chat/completions", json=body)
            response.raise_for_status()
            answered = response.json()
            text = answered["choices"][0]["message"]["content"]
            tokens = (answered.get("usage") or {}).get("total_tokens", 0)
            return Answer(str(text), int(tokens or 0))
        except httpx.HTTPStatusError as error:
            said = bounded(error.response.text, _LONGEST_BODY)
            raise self._failed(f"HTTP {error.response.status_code}: {said}") from error
        except httpx.HTTPError as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error
        except (json.JSONDecodeError, KeyError, IndexError, TypeError, ValueError) as error:
            said = bounded(response.text, _LONGEST_BODY)
            raise self._failed(f"no answer of a chat completion: {said}") from error

    def _failed(self, why: str) -> EndpointError:
        return EndpointError(
            f"The model {self.model} at {self.url} did not answer: {why}. Earlier answers are "
            "kept; run the same command again to continue."
        )


def _part(part: str | bytes) -> dict[str, object]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    uri = f"data:image/jpeg;base64,{base64.b64encode(part).decode()}"
    return {"type": "image_url", "image_url": {"url": uri}}
