"""Which GPUs this process may use; asked of `nvidia-smi`, so that nothing here imports torch.

GPUs are named by their UUID: a number means one card to nvidia-smi, which counts along the PCI
bus, and may mean another to CUDA, which counts from the fastest one.
"""

import os
import re
import subprocess
from dataclasses import dataclass, field
from itertools import takewhile

CARD = re.compile(r"GPU (\d+): (.+) \(UUID: (GPU-[^)]+)\)")
INSTANCE = re.compile(r"\s+MIG (\S+).*\(UUID: (MIG-[^)]+)\)")
SECONDS = 120  # nvidia-smi's start, where no driver is loaded yet and the machine is busy


@dataclass(frozen=True)
class Gpu:
    """A card, or one MIG instance of a card; ``uuid`` is its name in CUDA_VISIBLE_DEVICES."""

    label: str
    uuid: str

    @property
    def is_instance(self) -> bool:
        """Of these CUDA shows a process one only, however many it is given."""
        return self.uuid.startswith("MIG-")


@dataclass
class Card:
    label: str
    uuid: str
    model: str
    instances: list[Gpu] = field(default_factory=list)

    def gpus(self):
        """A card that is divided into MIG instances is used through them."""
        return self.instances or [Gpu(self.label, self.uuid)]


def visible_gpus() -> list[Gpu]:
    """The machine's GPUs, or those of an existing CUDA_VISIBLE_DEVICES, in its order."""
    written = os.environ.get("CUDA_VISIBLE_DEVICES")
    if written is not None and not written.strip():
        return []
    cards = parse_cards(ask_nvidia_smi())
    if written is None:
        return [gpu for card in cards for gpu in card.gpus()]
    return chosen(cards, [entry.strip() for entry in written.split(",")])


def ask_nvidia_smi() -> str:
    """What `nvidia-smi -L` says; nothing where there is none or it finds no driver."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=SECONDS)
    except FileNotFoundError:
        return ""
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"nvidia-smi does not answer in {SECONDS} s; set compute.gpus to 0, or mend it"
        ) from None
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())
        print(f"no GPU is used, because nvidia-smi failed: {reason}", flush=True)
        return ""
    return done.stdout


def parse_cards(listing: str) -> list[Card]:
    cards = []
    for line in listing.splitlines():
        if card := CARD.match(line):
            index, model, uuid = card.groups()
            cards.append(Card(f"GPU {index}", uuid, model))
        elif cards and (instance := INSTANCE.match(line)):
            profile, uuid = instance.groups()
            cards[-1].instances.append(Gpu(f"{cards[-1].label} (MIG {profile})", uuid))
    return cards


def chosen(cards: list[Card], entries: list[str]) -> list[Gpu]:
    """By CUDA's rules: all entries are of one form (numbers, GPU-..., MIG-...), a wrong one ends
    the list, and one that comes twice empties it."""
    if is_number(entries[0]):
        check_numbering(cards)
    alike = takewhile(lambda entry: form(entry) == form(entries[0]), entries)
    found = []
    for gpus in takewhile(bool, (named(cards, entry) for entry in alike)):
        if gpus[0] in found:
            return []
        found += gpus
    return found


def named(cards, entry):
    """The GPUs that an entry means; a UUID may be cut to any beginning that only one has."""
    if is_number(entry):
        return cards[int(entry)].gpus() if int(entry) < len(cards) else []
    if entry.startswith("MIG-"):
        matches = [[g] for card in cards for g in card.instances if g.uuid.startswith(entry)]
    elif entry.startswith("GPU-"):
        matches = [card.gpus() for card in cards if card.uuid.startswith(entry)]
    else:
        matches = []
    return matches[0] if len(matches) == 1 else []


def is_number(entry):
    return entry.isascii() and entry.isdigit()


def form(entry):
    return "number" if is_number(entry) else entry[:4]


def check_numbering(cards):
    """Where all cards are alike both ways of counting are the same."""
    by_bus = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if not by_bus and len({card.model for card in cards}) > 1:
        raise ValueError(
            "CUDA_VISIBLE_DEVICES has numbers, and this machine's GPUs differ: CUDA and nvidia-smi "
            "count them in different orders; set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs "
            "(nvidia-smi -L)"
        )
