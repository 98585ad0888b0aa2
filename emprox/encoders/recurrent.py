"""The network of NAO, SemiNAS and EmProx: an LSTM encoder of token sequences and a decoder that reads its embedding.

Letters: B architectures, T tokens in a sequence, V tokens in the vocabulary, H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["EncoderDecoder"]

START = 0
"""Token before the first; it also stands for absent nodes, which no sequence starts with."""


class Attention(nn.Module):
    """Each decoder state looks at all encoder states and mixes what it finds into itself."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.mix = nn.Linear(2 * hidden, hidden, bias=False)

    def forward(self, states: Tensor, memory: Tensor) -> Tensor:
        scores = self.query(states) @ memory.transpose(1, 2)  # (B, T, T)
        found = scores.softmax(-1) @ memory  # (B, T, H)
        return torch.tanh(self.mix(torch.cat([found, states], dim=-1)))  # (B, T, H)


class EncoderDecoder(nn.Module):
    """Bidirectional LSTM encoder, unit-length mean state as embedding, LSTM decoder with attention."""

    def __init__(self, vocabulary: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.encoder_tokens = nn.Embedding(vocabulary, hidden)
        self.encoder = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * hidden, hidden)
        self.decoder_tokens = nn.Embedding(vocabulary, hidden)
        self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.attention = Attention(hidden)
        self.out = nn.Linear(hidden, vocabulary)

    def encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the encoder states (B, T, H) and the embeddings (B, H), all of unit length."""
        x = self._drop(self.encoder_tokens(tokens))  # (B, T, H)
        states = F.normalize(x + self.project(self.encoder(x)[0]), dim=-1)  # (B, T, H)
        return states, F.normalize(states.mean(1), dim=-1)

    def decode(self, tokens: Tensor, memory: Tensor, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return logits (B, T, V) for the tokens that follow, and the LSTM's state after the last."""
        x = self._drop(self.decoder_tokens(tokens))
        states, carry = self.decoder(x, carry)
        states = (x + states) * 0.5**0.5
        states = (states + self.attention(states, memory)) * 0.5**0.5
        return self.out(states), carry

    def loss(self, tokens: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of the tokens (B, T), each given those before it."""
        return self.likelihood_loss(tokens, *self.encode(tokens))

    def likelihood_loss(self, tokens: Tensor, memory: Tensor, embedding: Tensor) -> Tensor:
        """Return that loss where the tokens are encoded already."""
        before = F.pad(tokens[:, :-1], (1, 0), value=START)
        logits, _ = self.decode(before, memory, start_state(embedding))
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())

    @torch.no_grad()
    def reconstruct(self, tokens: Tensor) -> Tensor:
        """Encode, then decode greedily, (B, T)."""
        memory, embedding = self.encode(tokens)
        return self.generate(memory, embedding)

    @torch.no_grad()
    def generate(self, memory: Tensor, embedding: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Decode greedily from encoder states (B, T, H) and embeddings (B, H): the likeliest token at each step, fed back.

        Where ``allowed`` (T, V) is given, only the tokens that it marks at a position are chosen there.
        """
        carry, decoded = start_state(embedding), [torch.full((len(memory), 1), START, device=memory.device)]
        for position in range(memory.shape[1]):
            logits, carry = self.decode(decoded[-1], memory, carry)
            if allowed is not None:
                logits = logits.masked_fill(~allowed[position], -torch.inf)
            decoded.append(logits.argmax(-1))
        return torch.cat(decoded[1:], dim=1)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def start_state(embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Start the decoder's hidden and cell state from the embedding (B, H), each (1, B, H)."""
    return embedding[None], embedding[None]
