"""Opens video files by PyAV, and decodes their frames with numbers and times that do not depend on the start."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from types import ModuleType
from typing import Any

from associative_embedding.io.console import one_line, remark, remark_file
from associative_embedding.io.mp4_boxes import too_many_samples
from associative_embedding.io.optional_packages import need

# A film may be decoded from a key frame on only if the packets before it count the frames before it. These containers
# state the time of each packet, and in these codecs a packet is a frame. VP8 has packets without a frame, an AVI of
# MPEG-4 has packets of two, and in a transport stream the clock may start anew.
COUNTABLE_CONTAINERS = {"mov", "matroska"}
COUNTABLE_CODECS = {"h264", "hevc", "vp9", "av1", "mjpeg", "prores", "dnxhd"}
# FFmpeg's readers of films. The others are left out: lists (concat, hls, dash, vobsub) name further files, which it
# would open, and some take a text for a film.
FORMATS = (
    "mov,matroska,avi,flv,asf,ogg,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,obu,av1,ivf,mjpeg,mxf,dv,wtv,yuv4mpegpipe,"
    "nut,rm,nsv,gxf,h261,h263,vc1,cavsvideo,dirac,avs2,avs3,swf,smk,bink,live_flv,gif,apng"
)
MAX_HELD = 2000  # packets in memory; a film with fewer key frames is decoded from an earlier one on
STATE_LENGTH = {"matroska", "flv"}  # containers whose header has the length of the file, also after it was cut
MICROSECONDS = 1e6  # in a second, the unit of a container's duration
ATTACHED_PICTURE = 0x400  # the bit of a cover in FFmpeg's disposition of a stream
MAX_SIDE = 8192  # pixels of a frame
# For FFmpeg, which decodes the first frames while it opens a file, before their size can be looked at here.
LIMITS = {"max_pixels": str(MAX_SIDE**2), "max_streams": "100"}
TIMEOUT = 10  # seconds that a stream may be silent
JUMP = 1.0  # seconds backwards from which the clock of a file has started anew


def container_of(source: str) -> Any:
    """Returns an open PyAV container of a video.

    A playlist inside of a file cannot open other files or addresses: only this file may be read.

    Raises:
        ValueError: one line, when it cannot be read or contains no video.
    """
    av = load_av()
    if "://" in source:
        name, options, timeout = source, {"rtsp_transport": "tcp"}, TIMEOUT
    else:
        name, options, timeout = f"file:{source}", {"protocol_whitelist": "file", "format_whitelist": FORMATS}, None
        check_samples(source)
    try:
        container = av.open(name, options=options | LIMITS, timeout=timeout)
    except av.FFmpegError as error:
        raise ValueError(f"{source}: not a video that can be read ({reason_of(error)})") from None
    if fault := fault_of(container, source):
        container.close()
        raise ValueError(f"{source}: {fault}")
    return container


def check_samples(source: str) -> None:
    """Checks the number of samples that a file states.

    Raises:
        ValueError: for an mp4 that states more than its size explains.
    """
    with suppress(OSError):  # FFmpeg has the message
        if too_many_samples(source):
            raise ValueError(f"{source}: states far more frames than its size explains; is it damaged?")


def fault_of(container: Any, source: str) -> str:
    """Returns why the pictures of an open container cannot be read, or an empty text."""
    stream = picture_stream(container)
    if stream is None:
        return f"holds no video{' but only sound' if container.streams.audio else ''}"
    if stream.codec_context is None:
        return "has pictures of a kind that FFmpeg does not know"
    width, height = stream.codec_context.width, stream.codec_context.height
    if max(width, height) > MAX_SIDE:
        return f"a frame of {width}x{height} is too large; at most {MAX_SIDE} pixels a side are read"
    if width * height == 0 and "://" not in source:  # a stream may state it later
        return f"states no size of its frames, or one of far more than {MAX_SIDE} pixels a side"
    return ""


def load_av() -> ModuleType:
    """Imports PyAV.

    Raises:
        ValueError: when it is not installed; the message names the extra.
    """
    av = need("av", "video", "a video")
    av.logging.set_level(None)  # FFmpeg would print every fault, which also becomes an error here
    return av


def picture_stream(container: Any) -> Any:
    """Returns the first stream of pictures that is not the cover of a sound file, or None."""
    # PyAV 13 has no disposition: there a cover counts as pictures.
    return next((s for s in container.streams.video if not int(getattr(s, "disposition", 0)) & ATTACHED_PICTURE), None)


def decoded_frames(container: Any, source: str, fps: float, start: float) -> Iterator[tuple[int, float, Any]]:
    """Yields number, time in seconds, and PyAV frame; the first frame yielded may come before the start.

    Raises:
        ValueError: at the end, when packets could not be decoded, or the file ends early.
    """
    stream = picture_stream(container)
    stream.thread_type = "AUTO"  # decodes with several threads
    stream.codec_context.options = LIMITS
    reader = PacketReader(container, stream, source)
    packets: Iterator[Any] = reader.packets()
    begin = Start()
    countable = kind_of(container) in COUNTABLE_CONTAINERS and stream.codec_context.name in COUNTABLE_CODECS
    if start > 0 and countable:
        begin = find_start(packets, start, stream)
    elif start > 0 and "://" not in source:
        remark(f"{source}: is read from its beginning to --start, because this kind of file has no exact index")
    clock = Clock(container, stream, fps)
    number = offset = None
    for frame in reader.decode(chain(begin.held, packets)):
        if number is None or offset is None:
            number = begin.number_of(frame.pts)
            offset = number - reader.rank(frame.pts)
        else:
            # A damaged packet gives no frame but counts: the frames behind it keep their numbers.
            number = max(number + 1, offset + reader.rank(frame.pts) if countable else 0)
        yield number, clock(frame.pts, number), frame
    reader.check(clock.last)


def kind_of(container: Any) -> str:
    """Returns the first of the names that FFmpeg has for the format of a container."""
    return str(container.format.name).split(",")[0]


@dataclass
class Start:
    """Where decoding starts.

    Attributes:
        skipped: frames before the first packet in `held`.
        held: packets that were read and are not decoded yet.
    """

    skipped: int = 0
    held: list[Any] = field(default_factory=list)

    def number_of(self, pts: int | None) -> int:
        """Returns the number of the first frame that the decoder yields: it may drop frames before a key frame."""
        if not self.skipped or pts is None:
            return self.skipped
        return self.skipped + sum(1 for packet in shown(self.held) if packet.pts is not None and packet.pts < pts)


def shown(packets: Iterable[Any]) -> list[Any]:
    """Returns the packets whose frames are shown: the edit list of an mp4 may cut frames off."""
    return [packet for packet in packets if not packet.is_discard and packet.size]


def find_start(packets: Iterable[Any], start: float, stream: Any) -> Start:
    """Reads packets up to a time without decoding them, and keeps those from the last key frame but one on.

    Frames between two key frames may need both sides, so the last key frame alone is not enough.
    """
    parts: list[list[Any]] = [[]]  # each begins with a key frame
    skipped, zero = 0, stream.start_time or 0
    for packet in packets:
        if packet.is_keyframe and parts[-1]:
            parts.append([])
            if len(parts) > 2:
                skipped += len(shown(parts.pop(0)))
        parts[-1].append(packet)
        first_without_key = not skipped and not parts[0][0].is_keyframe
        held = sum(map(len, parts))
        if first_without_key or packet.pts is None or held >= MAX_HELD:
            break
        if float((packet.pts - zero) * stream.time_base) >= start:
            break
    return Start(skipped, [packet for part in parts for packet in part])


class Clock:
    """Computes the time of frames, in seconds since the first one; times never fall.

    An AVI and a raw stream state no times: there the rate gives them. A frame without a time follows the frame before
    it at the mean rate.
    """

    def __init__(self, container: Any, stream: Any, fps: float) -> None:
        self.fps, self.base = fps, stream.time_base
        self.by_rate = kind_of(container) == "avi"
        self.zero = stream.start_time if kind_of(container) in COUNTABLE_CONTAINERS else None
        self.shift = 0.0  # seconds, after a clock that started anew
        self.last: float | None = None

    def __call__(self, pts: int | None, number: int) -> float:
        if self.by_rate or (pts is None and self.last is None):
            self.last = number / self.fps
        elif pts is None:
            self.last = (self.last or 0) + 1 / self.fps
        else:
            self.zero = pts if self.zero is None else self.zero
            self.last = self._rising(float((pts - self.zero) * self.base) + self.shift)
        return self.last

    def _rising(self, time: float) -> float:
        if self.last is None:
            return max(0.0, time)
        if time < self.last - JUMP:
            self.shift += self.last + 1 / self.fps - time
            return self.last + 1 / self.fps
        return max(time, self.last)


class PacketReader:
    """Reads and decodes packets; a damaged one is named and left out.

    Args:
        container: the open PyAV container.
        stream: the stream of pictures.
        source: for messages.
    """

    def __init__(self, container: Any, stream: Any, source: str) -> None:
        self.container, self.stream, self.source = container, stream, source
        self.count = self.damaged = 0
        self.times: list[int] = []  # of the packets given to the decoder, sorted
        self.fault = ""

    def packets(self) -> Iterator[Any]:
        """Yields packets up to the end of the file, or the place where it cannot be read on."""
        import av

        try:
            for packet in self.container.demux(self.stream):
                self.count += packet.size > 0
                yield packet
        except av.FFmpegError as error:
            self.fault = f"cannot be read on ({reason_of(error)})"

    def decode(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Yields the frames of packets, and at the end those that the decoder still holds."""
        import av

        flushed = False
        # The decoder reports half a packet late, and with the report the frames that it still holds are lost.
        whole_only = kind_of(self.container) in COUNTABLE_CONTAINERS
        for packet in packets:
            flushed = not packet.size
            if packet.pts is not None and shown([packet]):
                insort(self.times, packet.pts)
            if whole_only and packet.is_corrupt:
                self._leave_out("incomplete")
                continue
            try:
                yield from packet.decode()
            except av.FFmpegError as error:
                self._leave_out(reason_of(error))
        if not flushed:
            yield from self._rest()

    def rank(self, pts: int | None) -> int:
        """Returns how many packets of `times` come before a time."""
        return 0 if pts is None else bisect_left(self.times, pts)

    def _leave_out(self, reason: str) -> None:
        self.damaged += 1
        remark_file(self.source, f"packet {self.count} is damaged and left out ({reason})")

    def _rest(self) -> Iterator[Any]:
        import av

        try:
            yield from self.stream.decode(None)
        except av.FFmpegError:
            return  # the fault that ended the packets is reported

    def check(self, last: float | None) -> None:
        """Checks that the file was read to its end.

        Args:
            last: seconds, the time of the last frame.

        Raises:
            ValueError: one line, when it was not.
        """
        # Not `stream.frames`: it counts frames that the edit list of an mp4 cuts off. PyAV 13 has no index.
        stated = len(getattr(self.stream, "index_entries", ())) if kind_of(self.container) == "mov" else 0
        if not self.fault and self.count < stated:
            self.fault = f"ends after {self.count} of the {stated} frames of its index"
        if not self.fault and self.damaged:
            self.fault = f"{self.damaged} damaged packet{'s are' if self.damaged > 1 else ' is'} left out"
        length = (self.container.duration or 0) / MICROSECONDS if kind_of(self.container) in STATE_LENGTH else 0
        if last is not None and last + JUMP < length:  # no fault: the sound may be longer than the pictures
            remark(f"{self.source}: its pictures end at {last:.1f} of the {length:.1f} seconds that its header states")
        if self.fault:
            raise ValueError(f"{self.source}: {self.fault}; the frames before and after a fault are kept")


def reason_of(error: Any) -> str:
    """Returns the reason in an error of PyAV, without the path and the number that its message also has."""
    return one_line(str(getattr(error, "strerror", None) or error))
