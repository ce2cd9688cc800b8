"""Left and right in the names of keypoints, and the pairs that change places in a mirror image.

A wrong pair teaches wrong labels, so two names are a pair only if one has a sign of the left where the other has the
same sign of the right, and all else is equal: ``Lear`` and ``Rear`` are a pair, ``leg`` without ``reg`` is in none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Pair = tuple[str, str]  # names, left before right
Key = tuple[str, ...]  # the words of a name with a mark in the place of the sign

MARK = "*"
OTHER = {"l": "r", "r": "l"}

# English; German and Dutch; French; Spanish; Italian and Latin; Portuguese
LEFT = "left|links|linke[rsnm]?|gauche|izquierd[oa]|sinistr[oaei]|sinister|esquerd[oa]"
RIGHT = "right|rechts|rechte[rsnm]?|droite?|derech[oa]|destr[oaei]|dexter|direit[oa]"
# At the beginning of a word, or at its end behind three letters: not bright, cleft or blinker. Chinese and Japanese
# have no spaces between words.
SIGN = re.compile(
    rf"(?:^|(?<=[^\W\d_]{{3}})(?=(?:{LEFT}|{RIGHT})$)|(?=[左右ひみ]))(?:(?P<l>{LEFT}|左|ひだり)|(?P<r>{RIGHT}|右|みぎ))"
)

# Abbreviations that count as whole words only, and in pairs only: "der" is also an article.
SHORT_PAIRS = (("lft", "rgt"), ("li", "re"), ("izq", "der"), ("sx", "dx"), ("esq", "dir"))
SHORT = {word: ("/".join(pair), side) for pair in SHORT_PAIRS for word, side in zip(pair, "lr", strict=True)}

# ear_l, ear_r and ear_m are sides; point_a to point_t, which have an l and an r too, are a series
MOST_LETTERS = 5

CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # LWrist, wristL, FLPaw
WORD = re.compile(r"[^\W\d_]+|\d+")


def words_of(name: str) -> Key:
    """Returns the words and numbers of a name in small letters: ``forelegL4`` is ``("foreleg", "l", "4")``."""
    return tuple(word.lower() for word in WORD.findall(CAMEL.sub("_", name)))


def split_side(name: str) -> tuple[str, str] | None:
    """Splits a keypoint's name into its side and its body part.

    Returns:
        ("l" or "r", the words of the part joined by ``_``), or None for a name without a clear sign. ``left_wrist``,
        ``wrist-left``, ``LWrist`` and ``wrist_l`` are ("l", "wrist"); ``forelegL4`` is ("l", "foreleg_4").
    """
    words = words_of(name)
    if sign := signs(name):
        rest = (word.replace(MARK, "") for word in sign[0])
        return sign[1][0], "_".join(word for word in rest if word)
    for i, word in enumerate(words):
        # L4 is a leg or a vertebra, and a name that is one letter may be one of a series
        if word in OTHER and len(words) > 1 and (i or not words[1].isdigit()):
            return word, "_".join(words[:i] + words[i + 1 :])
    return None


def derive_flip_pairs(names: Sequence[str]) -> tuple[Pair, ...]:
    """Returns the pairs of names, in the order of their left members; a name without one counterpart is in no pair."""
    written = {name: signs(name) for name in names}
    pairs = pairs_by_words({name: sign for name, sign in written.items() if sign is not None})
    pairs += pairs_by_letters([name for name, sign in written.items() if sign is None])
    return tuple(sorted(pairs, key=lambda pair: list(names).index(pair[0])))


def unpaired_sides(names: Sequence[str], pairs: Sequence[Pair]) -> list[str]:
    """Returns the names with a clear sign of a side that are in no pair."""
    paired = {name for pair in pairs for name in pair}
    return [name for name in names if name not in paired and split_side(name) is not None]


def signs(name: str) -> tuple[Key, str] | None:
    """Returns the key of a name with words for left and right, and their sides in order; None without such a word.

    A mirror image changes all of them: the left end of the right eyebrow is the right end of the left one.
    """
    words = words_of(name)
    sides = "".join(str(sign.lastgroup) for word in words for sign in SIGN.finditer(word))
    return (tuple(SIGN.sub(MARK, word) for word in words), sides) if sides else None


def pairs_by_words(written: Mapping[str, tuple[Key, str]]) -> list[Pair]:
    """Returns the pairs of names by their words for left and right."""
    of_sign: dict[tuple[Key, str], list[str]] = defaultdict(list)
    for name, sign in written.items():
        of_sign[sign].append(name)
    pairs = []
    for (key, sides), left in of_sign.items():
        right = of_sign.get((key, "".join(OTHER[side] for side in sides)), [])
        if sides[0] == "l" and len(left) == len(right) == 1:
            pairs.append((left[0], right[0]))
    return pairs


def pairs_by_letters(names: Sequence[str]) -> list[Pair]:
    """Returns the pairs of names that differ in one l and r, at the beginning or the end of a word."""
    of_key: dict[Key, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        for key, letter in letters(words_of(name)):
            of_key[key][letter].append(name)
    series = [of_letter for of_letter in of_key.values() if len(of_letter) <= MOST_LETTERS]
    found = {(*of["l"], *of["r"]) for of in series if len(of.get("l", ())) == len(of.get("r", ())) == 1}
    # LL is the left partner of RL, or the lower left one of LR; if there are both, nothing is known
    count = [name for pair in found for name in pair]
    return [(left, right) for left, right in found if count.count(left) == count.count(right) == 1]


def letters(words: Key) -> Iterator[tuple[Key, str]]:
    """Yields each letter that may be the sign of a side, with the key of the name without it."""
    for i, word in enumerate(words):
        before, after = words[:i], words[i + 1 :]
        if word in SHORT:
            pair, side = SHORT[word]
            yield (*before, pair, *after), side
        if not word.isdigit():
            yield (*before, MARK + word[1:], *after), word[0]
        if len(word) > 1 and not word.isdigit():
            yield (*before, word[:-1] + MARK, *after), word[-1]


# ---- pairs that a category states


def stated_flip_pairs(category: Mapping[str, Any], names: Sequence[str]) -> list[Pair] | None:
    """Returns the pairs that an entry of a COCO json's ``categories`` states, or None if it states none.

    The first of these keys counts: ``flip_pairs``, pairs of names, or of indices from 0 (HRNet, AlphaPose);
    ``flip_idx``, the index from 0 of each keypoint's partner, its own without one (Ultralytics); ``swap``, the name of
    each keypoint's partner, empty without one, as a list or a mapping; ``keypoint_info`` with a ``swap`` in each entry
    (MMPose).

    Raises:
        ValueError: for a value of another form.
    """
    if category.get("flip_pairs") is not None:
        return [named_pair(pair, names) for pair in as_rows(category["flip_pairs"], "flip_pairs")]
    if category.get("flip_idx") is not None:
        return pairs_of_indices(as_rows(category["flip_idx"], "flip_idx"), names)
    swap, info = category.get("swap"), category.get("keypoint_info")
    if swap is None and isinstance(info, (dict, list)):
        entries = info.values() if isinstance(info, dict) else info
        swap = {entry.get("name"): entry.get("swap") for entry in entries if isinstance(entry, dict)}
    if swap is None:
        return None
    partners = swap if isinstance(swap, dict) else dict(zip(names, as_rows(swap, "swap"), strict=True))
    # both members state the pair; the first one in the list is the left one
    pairs = {frozenset((name, other)): (name, other) for name, other in reversed(partners.items()) if other}
    return list(reversed(pairs.values()))


def pairs_of_indices(index: Sequence[Any], names: Sequence[str]) -> list[Pair]:
    """Returns the pairs of ``flip_idx``.

    Raises:
        ValueError: when it is not one index for each keypoint, or a keypoint is not the partner of its partner.
    """
    inside = len(index) == len(names) and all(type(i) is int and 0 <= i < len(names) for i in index)
    if not inside or any(index[k] != i for i, k in enumerate(index)):
        raise ValueError(f"'flip_idx' must have the index of the partner of each of {len(names)} keypoints")
    return [(names[i], names[k]) for i, k in enumerate(index) if i < k]


def as_rows(value: Any, key: str) -> list[Any]:
    """Returns a list of a category.

    Raises:
        ValueError: for any other value.
    """
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"'{key}' must be a list, not {value!r:.60}")
    return list(value)


def named_pair(pair: Any, names: Sequence[str]) -> Pair:
    """Returns a pair of names, also of a pair of indices from 0.

    Raises:
        ValueError: for anything else; an unknown name is found by `Skeleton`.
    """
    if isinstance(pair, (list, tuple)) and len(pair) == 2:
        if all(isinstance(name, str) for name in pair):
            return pair[0], pair[1]
        if all(type(i) is int and 0 <= i < len(names) for i in pair):
            return names[pair[0]], names[pair[1]]
    raise ValueError(f"'flip_pairs' must be pairs of names, or of indices from 0 to {len(names) - 1}, not {pair!r:.60}")
