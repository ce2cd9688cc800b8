"""Sides in the names of keypoints, and the pairs that a mirror image exchanges."""

from __future__ import annotations

from typing import Any

import pytest

from associative_embedding.structures.keypoint_sides import derive_flip_pairs, split_side, stated_flip_pairs
from associative_embedding.structures.skeleton import Skeleton


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("left_wrist", ("l", "wrist")),
        ("wrist-left", ("l", "wrist")),
        ("RightWrist", ("r", "wrist")),
        ("LWrist", ("l", "wrist")),
        ("RHip", ("r", "hip")),
        ("wristL", ("l", "wrist")),
        ("eyeR", ("r", "eye")),
        ("l_wrist", ("l", "wrist")),
        ("Nose_R", ("r", "nose")),
        ("wrist l", ("l", "wrist")),
        ("forelegL4", ("l", "foreleg_4")),
        ("forelegR4", ("r", "foreleg_4")),
        ("leg_L2", ("l", "leg_2")),
        ("leg_r_2", ("r", "leg_2")),
        ("leftwrist", ("l", "wrist")),
        ("linkes_auge", ("l", "auge")),
        ("右目", ("r", "目")),
        ("left", ("l", "")),
        *(
            (name, None)
            for name in (
                "tail bill ear nose rear lip leg rib lower Lumbar L4 T4 EAR LR l tail2 Lear bright cleft blinker kpt_0"
            ).split()
        ),
    ],
)
def test_split_side(name: str, side: tuple[str, str] | None) -> None:
    assert split_side(name) == side


@pytest.mark.parametrize(
    "names",
    [
        "left_eye right_eye, ear_left ear_right, HipLeft HipRight, leftknee rightknee, paw(left) paw(right)",
        "l_eye r_eye, ear_L ear_R, hip.L hip.R, knee-l knee-r, L-wrist R-wrist, leg_l_2 leg_r_2",
        "Lear Rear, LEye REye, toeL toeR, lhip rhip, kneel kneer",
        "LH RH, LF RF, LM RM, LR RR",
        "FL FR, RL RR",
        "UL UR, LL LR",
        "LF_paw RF_paw, LH_paw RH_paw, lf_knee rf_knee, FLtoe FRtoe, hip_HL hip_HR",
        "L1 R1, L2 R2, T1_L T1_R",
        "linkes_Auge rechtes_Auge, linkeHand rechteHand, Ohr_links Ohr_rechts, fuss_li fuss_re",
        "linkeroog rechteroog, hand_links hand_rechts",
        "oeil_gauche oeil_droit, oreille_gauche oreille_droite, piedGauche piedDroit",
        "ojo_izquierdo ojo_derecho, oreja_izquierda oreja_derecha, manoIzq manoDer",
        "occhio_sinistro occhio_destro, mano_sinistra mano_destra, spalla_sx spalla_dx",
        "olho_esquerdo olho_direito, orelha_esquerda orelha_direita, mao_esq mao_dir",
        "左眼 右眼, 前左足 前右足, 耳_左 耳_右",
        "左目 右目, ひだり手 みぎ手",
        "blinker_left blinker_right, bright_left bright_right",
        "left_eye_left_end right_eye_right_end, left_eye_right_end right_eye_left_end",
    ],
)
def test_pairs_of_many_conventions(names: str) -> None:
    pairs = [tuple(pair.split()) for pair in names.split(", ")]
    listed = [name for pair in pairs for name in reversed(pair)]
    assert derive_flip_pairs([*listed, "nose", "tail", "Lumbar", "rib", "ear_top", "ear_m"]) == tuple(pairs)


@pytest.mark.parametrize(
    "names",
    [
        "leg rib Lumbar rear lower lip root tail",
        "left_eye tail",
        "left_wrist wrist_right",
        "left_eye left-eye right_eye",
        "LL LR RL RR",  # the left or the lower one?
        " ".join(f"point_{letter}" for letter in "abcdefghijklmnopqrst"),
        " ".join(f"kpt_{i}" for i in range(17)),
        "upright upleft bright cleft",
    ],
)
def test_what_is_no_pair(names: str) -> None:
    assert derive_flip_pairs(names.split()) == ()


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ("nose left_eye right_eye", True),
        ("nose left_eye right_eye left_tusk", False),
        ("nose L_eye R_eye L_tusk", False),
        ("Lear Rear nose", True),
        ("head middle tail", False),
        ("kpt_0 kpt_1 kpt_2", False),
    ],
)
def test_whether_all_sides_are_known(names: str, known: bool) -> None:
    skeleton = Skeleton.build("thing", names.split())
    assert skeleton.sides_known == known
    assert Skeleton.from_category(skeleton.to_category()) == skeleton
    assert ("flip_pairs" in skeleton.to_category()) == known


NAMES = ["nose", "eye1", "eye2", "tail"]


@pytest.mark.parametrize(
    ("stated", "pairs"),
    [
        ({"flip_pairs": [["eye1", "eye2"]]}, (("eye1", "eye2"),)),
        ({"flip_pairs": [[1, 2]]}, (("eye1", "eye2"),)),
        ({"flip_idx": [0, 2, 1, 3]}, (("eye1", "eye2"),)),
        ({"swap": ["", "eye2", "eye1", None]}, (("eye1", "eye2"),)),
        ({"swap": {"eye1": "eye2", "eye2": "eye1"}}, (("eye1", "eye2"),)),
        (
            {"keypoint_info": {"1": {"name": "eye1", "swap": "eye2"}, "0": {"name": "nose", "swap": ""}}},
            (("eye1", "eye2"),),
        ),
        ({"flip_pairs": []}, ()),
        ({"flip_idx": [0, 1, 2, 3]}, ()),
    ],
)
def test_stated_pairs_count(stated: dict[str, Any], pairs: tuple[tuple[str, str], ...]) -> None:
    skeleton = Skeleton.from_category({"name": "thing", "keypoints": NAMES, **stated})
    assert (skeleton.flip_pairs, skeleton.sides_known) == (pairs, True)
    assert Skeleton.from_category(skeleton.to_category()) == skeleton
    named = Skeleton.from_category({"name": "thing", "keypoints": ["left_eye", "right_eye"], "flip_pairs": []})
    assert named.flip_pairs == ()


@pytest.mark.parametrize(
    "stated",
    [
        {"flip_pairs": 3},
        {"flip_pairs": [[1, 4]]},
        {"flip_pairs": [1, 2]},
        {"flip_idx": [0, 2, 1]},
        {"flip_idx": [1, 2, 3, 0]},
        {"flip_idx": ["a", "b", "c", "d"]},
        {"swap": ["eye2"]},
        {"swap": ["", "eye9", "", ""]},
        {"swap": 1},
    ],
)
def test_stated_pairs_that_are_none(stated: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="thing"):
        Skeleton.from_category({"name": "thing", "keypoints": NAMES, **stated})


def test_nothing_stated() -> None:
    assert stated_flip_pairs({"flip_pairs": None, "flip_idx": None}, NAMES) is None
