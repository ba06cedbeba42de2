"""The styles the composer knows.

Drum patterns are written on a grid of sixteenths: one character a sixteenth, `x` a hit,
`o` a soft hit, `.` silence; 16 characters for 4/4 and 12 for 3/4 and 6/8.
"""

from dataclasses import dataclass, field

Pattern = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """What makes a style: its tempi, its metre and what each player tends to play."""

    name: str
    tempo: tuple[float, float]
    beats_per_bar: float = 4.0
    swing: tuple[float, float] = (0.5, 0.5)  # where the second eighth (or sixteenth) falls in its pair
    swing_unit: float = 0.5  # the length in beats of the notes that swing: 0.5 eighths, 0.25 sixteenths
    modes: tuple[str, ...] = ("major", "minor")
    drums: tuple[Pattern, ...]
    kits: tuple[str, ...]
    bass: tuple[str, ...]  # names of figures in bassline.FIGURES
    basses: tuple[str, ...]
    comping: tuple[str, ...]  # names of figures in comping.FIGURES
    keys: tuple[str, ...]  # instruments that play the chords
    leads: tuple[str, ...]
    chord_size: tuple[int, ...] = (3,)
    vocal_density: float = 0.5  # how many of the eighths of a sung phrase are new notes
    extra: Pattern = field(default_factory=dict)  # percussion that may be added


ROCK_KITS = ("kit:0", "kit:8", "kit:16", "kit:0", "kit:8")
MACHINES = ("synth:808", "synth:909", "kit:24", "kit:25")
PIANOS = ("gm:0", "gm:1", "gm:2", "gm:4", "gm:5", "gm:7")
GUITARS = ("gm:24", "gm:25", "gm:26", "gm:27", "gm:28")
LOUD_GUITARS = ("gm:29", "gm:30", "gm:27")
ORGANS = ("gm:16", "gm:17", "gm:18", "gm:19")
STRINGS = ("gm:48", "gm:49", "gm:50", "gm:51")
PADS = ("gm:88", "gm:89", "gm:90", "gm:94", "gm:95", "synth:pad", "synth:warmpad")
SYNTHS = ("synth:saw", "synth:pluck", "synth:fmkeys", "synth:square", "gm:81", "gm:80")
BRASS = ("gm:61", "gm:62", "gm:56", "gm:57")
WINDS = ("gm:64", "gm:65", "gm:66", "gm:71", "gm:73", "gm:68")
FINGERS = ("gm:33", "gm:34", "gm:35", "gm:33", "gm:34")
SYNTH_BASSES = ("synth:sawbass", "synth:fmbass", "synth:subbass", "synth:squarebass", "gm:38", "gm:39")

STYLES: tuple[Style, ...] = (
    Style(
        name="pop",
        tempo=(90, 128),
        drums=(
            {"kick": "x.......x.x.....", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
            {"kick": "x.....x.x.......", "snare": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
            {"kick": "x..x....x..x....", "snare": "....x.......x..o", "hat": "x.x.x.x.x.x.x.x."},
        ),
        kits=(*ROCK_KITS, "synth:909"),
        bass=("eighths", "roots", "syncopated", "fifths"),
        basses=(*FINGERS, "synth:sawbass", "synth:squarebass"),
        comping=("sustain", "quarters", "arpeggio", "strum", "push"),
        keys=(*PIANOS, *GUITARS, *PADS, *SYNTHS),
        leads=(*SYNTHS, *STRINGS, "gm:11", "gm:27"),
        extra={"shaker": "xoxoxoxoxoxoxoxo", "tambourine": "....x.......x..."},
    ),
    Style(
        name="rock",
        tempo=(95, 165),
        modes=("major", "minor", "mixolydian"),
        drums=(
            {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x.x.....x.x.....", "snare": "....x.......x...", "ride": "x.x.x.x.x.x.x.x."},
            {"kick": "x.....x.x.x.....", "snare": "....x..o....x...", "openhat": "x...x...x...x..."},
        ),
        kits=("kit:0", "kit:8", "kit:16", "kit:16"),
        bass=("eighths", "roots", "fifths", "eighths"),
        basses=("gm:33", "gm:34", "gm:34", "synth:pickbass"),
        comping=("quarters", "strum", "eighths", "sustain"),
        keys=(*LOUD_GUITARS, *GUITARS, *ORGANS, "synth:distorted", "synth:distorted"),
        leads=("gm:29", "gm:30", "gm:18", "synth:distorted"),
    ),
    Style(
        name="ballad",
        tempo=(60, 82),
        drums=(
            {"kick": "x.........x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x......x..x.....", "rim": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
        ),
        kits=("kit:0", "kit:8", "kit:40"),
        bass=("roots", "fifths", "long"),
        basses=("gm:33", "gm:35", "gm:32", "synth:subbass"),
        comping=("sustain", "arpeggio", "quarters", "arpeggio"),
        keys=(*PIANOS, *PADS, *STRINGS, "gm:24", "gm:25", "gm:46"),
        leads=(*STRINGS, *WINDS, "gm:40", "gm:42"),
        chord_size=(3, 4),
        vocal_density=0.4,
    ),
    Style(
        name="waltz",
        tempo=(84, 150),
        beats_per_bar=3.0,
        drums=(
            {"kick": "x...........", "snare": "....x...x...", "hat": "x...x...x..."},
            {"kick": "x.....x.....", "rim": "....x...x...", "ride": "x...x.o.x..."},
        ),
        kits=("kit:0", "kit:32", "kit:40", "kit:8"),
        bass=("roots", "fifths", "long"),
        basses=("gm:32", "gm:33", "gm:35"),
        comping=("waltz", "arpeggio", "sustain"),
        keys=(*PIANOS, "gm:24", "gm:21", "gm:22", *STRINGS),
        leads=(*WINDS, "gm:40", "gm:21", "gm:22"),
        vocal_density=0.45,
    ),
    Style(
        name="sixeight",
        tempo=(90, 135),
        beats_per_bar=3.0,
        drums=(
            {"kick": "x.........x.", "snare": "......x.....", "hat": "x.x.x.x.x.x."},
            {"kick": "x....x......", "snare": "......x...o.", "ride": "x.x.x.x.x.x."},
        ),
        kits=ROCK_KITS,
        bass=("roots", "eighths", "fifths"),
        basses=(*FINGERS, "synth:sawbass"),
        comping=("arpeggio", "sustain", "strum"),
        keys=(*PIANOS, *GUITARS, *ORGANS, *STRINGS),
        leads=(*LOUD_GUITARS, *STRINGS, *WINDS),
    ),
    Style(
        name="funk",
        tempo=(92, 118),
        swing=(0.5, 0.58),
        swing_unit=0.25,
        modes=("dorian", "mixolydian", "minor"),
        drums=(
            {"kick": "x..x..x...x..x..", "snare": "....x..o.o..x..o", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x.x....x..x.....", "snare": "....x..o.o..x...", "hat": "xoxoxoxoxoxoxoxo"},
        ),
        kits=("kit:0", "kit:8", "kit:16", "kit:32"),
        bass=("funk", "syncopated", "octaves"),
        basses=("gm:36", "gm:37", "gm:33", "gm:34", "synth:squarebass"),
        comping=("stabs", "scratch", "push"),
        keys=("gm:27", "gm:28", "gm:7", "gm:4", "gm:16", "gm:61", "synth:fmkeys"),
        leads=(*BRASS, "gm:65", "gm:66", "synth:saw"),
        chord_size=(4,),
        extra={"conga": "..x...xx..x...xo", "tambourine": "....x.......x..."},
    ),
    Style(
        name="house",
        tempo=(118, 130),
        modes=("minor", "dorian", "major"),
        drums=(
            {"kick": "x...x...x...x...", "clap": "....x.......x...", "openhat": "..x...x...x...x."},
            {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
            {"kick": "x...x...x...x..x", "clap": "....x.......x...", "hat": "..x...x...x...x."},
        ),
        kits=("synth:909", "synth:909", "synth:808", "kit:24", "kit:25"),
        bass=("offbeat", "octaves", "syncopated", "eighths"),
        basses=SYNTH_BASSES,
        comping=("stabs", "sustain", "push", "arpeggio16"),
        keys=(*SYNTHS, *PADS, "gm:0", "gm:1", "gm:16"),
        leads=SYNTHS,
        chord_size=(3, 4),
        vocal_density=0.4,
        extra={"shaker": "xoxoxoxoxoxoxoxo", "conga": "..x..x....x..xx."},
    ),
    Style(
        name="hiphop",
        tempo=(76, 98),
        swing=(0.52, 0.62),
        swing_unit=0.25,
        modes=("minor", "dorian"),
        drums=(
            {"kick": "x......x..x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "x..x......x..x..", "clap": "....x.......x...", "hat": "x.x.x.xxx.x.x.xo"},
        ),
        kits=(*MACHINES, "kit:0", "kit:8"),
        bass=("roots", "syncopated", "long"),
        basses=("synth:subbass", "synth:808bass", "gm:33", "gm:38"),
        comping=("sustain", "quarters", "stabs"),
        keys=("gm:4", "gm:5", "gm:0", "synth:fmkeys", *PADS, *STRINGS),
        leads=("gm:11", "gm:73", "synth:pluck", "gm:12", "synth:square"),
        chord_size=(3, 4),
        vocal_density=0.7,
    ),
    Style(
        name="trap",
        tempo=(130, 150),
        modes=("minor",),
        drums=(
            {"kick": "x.........x.....", "clap": "........x.......", "hat": "x.x.x.x.x.xxx.x."},
            {"kick": "x.....x.....x...", "snare": "........x.......", "hat": "xxx.x.x.x.x.xoxo"},
        ),
        kits=("synth:808", "synth:808", "kit:25"),
        bass=("long", "roots"),
        basses=("synth:808bass", "synth:808bass", "synth:subbass"),
        comping=("sustain", "arpeggio", "quarters"),
        keys=("synth:pluck", "synth:pad", "gm:10", "gm:0", "gm:46", *PADS, "gm:8"),
        leads=("synth:pluck", "gm:73", "gm:9", "synth:square"),
        vocal_density=0.55,
    ),
    Style(
        name="reggae",
        tempo=(66, 88),
        swing=(0.5, 0.6),
        modes=("minor", "major", "dorian"),
        drums=(
            {"kick": "........x.......", "rim": "........x.......", "hat": "x.x.x.x.x.x.x.xo"},
            {"kick": "x...x...x...x...", "snare": "........x.......", "hat": "x.xox.xox.xox.xo"},
        ),
        kits=("kit:0", "kit:8", "kit:16"),
        bass=("dub", "roots", "fifths"),
        basses=("gm:33", "gm:32", "gm:35", "synth:subbass"),
        comping=("offbeats", "offbeats", "sustain"),
        keys=("gm:27", "gm:28", "gm:16", "gm:17", "gm:0"),
        leads=("gm:56", "gm:57", "gm:22", "gm:66"),
        extra={"shaker": "x.o.x.o.x.o.x.o."},
    ),
    Style(
        name="bossa",
        tempo=(110, 145),
        modes=("major", "dorian", "minor"),
        drums=(
            {"kick": "x..xx..xx..xx..x", "rim": "x..x..x...x..x..", "hat": "xoxoxoxoxoxoxoxo"},
            {"kick": "x..xx..xx..xx..x", "rim": "..x..x..x..x..x.", "ride": "x.x.x.x.x.x.x.x."},
        ),
        kits=("kit:32", "kit:40", "kit:0"),
        bass=("bossa", "fifths"),
        basses=("gm:32", "gm:32", "gm:35", "gm:33"),
        comping=("bossa", "arpeggio", "push"),
        keys=("gm:24", "gm:24", "gm:0", "gm:4", "gm:26"),
        leads=("gm:73", "gm:65", "gm:66", "gm:11"),
        chord_size=(4,),
        extra={"shaker": "xoxoxoxoxoxoxoxo", "conga": "....xx......xx.."},
    ),
    Style(
        name="swing",
        tempo=(110, 190),
        swing=(0.62, 0.67),
        modes=("major", "dorian", "mixolydian"),
        drums=(
            {"kick": "x.......x.......", "foothat": "....x.......x...", "ride": "x...x.x.x...x.x."},
            {"kick": "x...x...x...x...", "snare": "......o.......o.", "ride": "x...x.x.x...x.x."},
        ),
        kits=("kit:32", "kit:40", "kit:0"),
        bass=("walking", "walking", "fifths"),
        basses=("gm:32", "gm:32", "gm:35"),
        comping=("push", "stabs", "quarters"),
        keys=("gm:0", "gm:26", "gm:0", "gm:16"),
        leads=(*WINDS, *BRASS, "gm:11"),
        chord_size=(4,),
    ),
    Style(
        name="folk",
        tempo=(84, 132),
        modes=("major", "mixolydian", "dorian"),
        drums=(
            {"kick": "x.......x.......", "tambourine": "....x.......x...", "shaker": "x.x.x.x.x.x.x.x."},
            {"kick": "x...x...x...x...", "snare": "..o.x.o...o.x.o."},
        ),
        kits=("kit:0", "kit:8", "kit:40"),
        bass=("fifths", "roots", "long"),
        basses=("gm:32", "gm:33", "gm:35"),
        comping=("strum", "arpeggio", "strum"),
        keys=("gm:24", "gm:25", "gm:105", "gm:21", "gm:15"),
        leads=("gm:40", "gm:110", "gm:72", "gm:73", "gm:22", "gm:105"),
    ),
    Style(
        name="synthwave",
        tempo=(84, 118),
        modes=("minor", "dorian"),
        drums=(
            {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "..x...x...x...x."},
            {"kick": "x.......x..x....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        ),
        kits=("synth:909", "synth:808", "kit:24", "kit:16"),
        bass=("sixteenths", "octaves", "eighths"),
        basses=SYNTH_BASSES,
        comping=("sustain", "arpeggio16", "stabs"),
        keys=(*SYNTHS, *PADS),
        leads=SYNTHS,
        vocal_density=0.4,
    ),
    Style(
        name="metal",
        tempo=(120, 180),
        modes=("minor",),
        drums=(
            {"kick": "x.x.x.x.x.x.x.x.", "snare": "....x.......x...", "hat": "x...x...x...x..."},
            {"kick": "x.xxx.xxx.xxx.xx", "snare": "....x.......x...", "crash": "x.......x......."},
        ),
        kits=("kit:16", "kit:8", "kit:0"),
        bass=("sixteenths", "eighths", "roots"),
        basses=("gm:34", "gm:33", "synth:pickbass"),
        comping=("eighths", "chug", "sustain"),
        keys=("gm:30", "gm:29", "synth:distorted", "synth:distorted"),
        leads=("gm:30", "gm:29", "synth:distorted"),
    ),
)

BY_NAME = {style.name: style for style in STYLES}
