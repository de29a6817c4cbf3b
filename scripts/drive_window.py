"""What scripts/drive_window.sh runs inside the display of its own."""

import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

# A loaded computer is waited for; a step that takes longer has failed.
PATIENCE_S = 60
DEMO_PATIENCE_S = 300
FEATURE = 163
ADDED = " seen by the driver"
READER = "Ada"
STRENGTH = 2.0

# Places at 1280x800 of what no key reaches; a click that misses fails the check after it.
BUILD_DEMO = (253, 326)
STEER_THIS_FEATURE = (1096, 72)
STRENGTH_FIELD = (392, 248)
OUTCOME = "800x640+480+100"
# The rail and the title above the screen say which project and screen are shown.
RAIL = "72x760+0+0"
TITLE = "700x40+80+4"


class Failed(Exception):
    """A check that did not hold, in words."""


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def wait(what, check, patience=PATIENCE_S):
    """The first value of `check` that counts as true."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if value := check():
                return value
        except (OSError, ValueError, KeyError, subprocess.CalledProcessError):
            pass  # Not there yet, or half written.
        time.sleep(0.25)
    raise Failed(f"{what}: not within {patience} s")


class Window:
    """The program, its window and what it leaves behind."""

    def __init__(self, program, pictures, home):
        self.program = pathlib.Path(program).resolve()
        self.pictures = pathlib.Path(pictures)
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.home = pathlib.Path(home)
        self.project = self.home / "fluoroscope-demo"
        self.environment = os.environ | {
            "HOME": home,
            "XDG_CONFIG_HOME": str(self.home / "config"),
        }
        self.n_pictures = 0

    def start(self):
        self.process = subprocess.Popen(
            [self.program], cwd=self.home, env=self.environment
        )

        def shown():
            self.alive()
            return run("xdotool", "search", "--onlyvisible", "--name", ".").split()

        self.id = wait("a window", shown)[-1]
        # Without a window manager nothing gives it the keyboard.
        run("xdotool", "windowfocus", "--sync", self.id)
        self.settle()

    def grab(self, crop=None):
        """The screen's pixels as one hash."""
        cut = ["-crop", crop] if crop else []
        return run("import", "-window", "root", *cut, "-format", "%#", "info:-").strip()

    def settle(self):
        """Waits until two pictures in a row are the same."""
        last = [None]

        def still():
            before, last[0] = last[0], self.grab()
            return before == last[0]

        wait("a screen that stands still", still)

    def picture(self, name):
        self.settle()
        self.n_pictures += 1
        path = self.pictures / f"{self.n_pictures:02}-{name}.png"
        run("import", "-window", "root", str(path))
        print(f"  {path}", flush=True)

    def alive(self):
        if self.process.poll() is not None:
            raise Failed(f"the program ended with {self.process.returncode}")

    def key(self, *keys):
        self.alive()
        for key in keys:
            run("xdotool", "key", key)
            self.settle()

    def type(self, text):
        self.alive()
        run("xdotool", "type", "--delay", "40", text)
        self.settle()

    def click(self, place):
        self.alive()
        run("xdotool", "mousemove", *map(str, place), "sleep", "0.2", "click", "1")

    def close(self):
        """As a window manager's close button does."""
        ask_to_close(int(self.id))
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"the window did not close within {PATIENCE_S} s") from error
        if code != 0:
            raise Failed(f"the program ended with {code}")

    def decisions(self):
        lines = (self.project / "journal/decisions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def place(self):
        settings = json.loads((self.home / "config/fluoroscope/settings.json").read_text())
        return json.loads(settings["places"][str(self.project)])


class ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, as long as its XEvent."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_long * 24),
    ]


def ask_to_close(window):
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    event = ClientMessage(type=33, window=window, format=32)
    event.message_type = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
    event.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x11.XCloseDisplay(display)


def start_empty(window):
    window.start()
    window.picture("start")


def build_demo(window):
    window.click(BUILD_DEMO)
    wait("the demo's folder", window.project.is_dir)
    run("import", "-window", "root", str(window.pictures / "building.png"))
    for name in ("films", "shoppers"):
        path = window.project / "features" / name / "hashes.json"
        wait(f"features/{name}", path.exists, DEMO_PATIENCE_S)
    # The project is among the recent ones once it is opened, which ends the building.
    settings = window.home / "config/fluoroscope/settings.json"
    wait("the demo opened", lambda: str(window.project) in settings.read_text(), DEMO_PATIENCE_S)
    window.picture("gallery")


def open_feature(window):
    window.key("ctrl+k")
    window.type(str(FEATURE))
    window.picture("palette")
    window.key("Return")
    window.picture("feature")


def edit_label(window):
    window.key("e")
    window.type(ADDED)
    window.key("Return")
    window.picture("label-who")
    window.type(READER)
    window.key("Return")
    one = wait("a decision in the journal", window.decisions)[-1]
    if (one["feature"], one["state"]) != (FEATURE, "edited") or not one["text"].endswith(ADDED):
        raise Failed(f"the journal has {one}")
    if one["reviewer"] != READER:
        raise Failed(f"the decision is signed by {one['reviewer']}")
    window.picture("label-edited")


def review(window):
    window.key("ctrl+7")
    window.picture("review")
    window.key("a")
    two = wait("a second decision", lambda: window.decisions()[1:])
    if (two[0]["state"], two[0]["reviewer"]) != ("accepted", READER):
        raise Failed(f"the journal has {two[0]}")
    window.picture("review-decided")


def steer(window):
    window.key("ctrl+k")
    window.type(str(FEATURE))
    window.key("Return")
    window.click(STEER_THIS_FEATURE)
    window.picture("steer")
    before = window.grab(OUTCOME)
    window.click(STRENGTH_FIELD)
    window.key("ctrl+a")
    window.type(str(STRENGTH))
    window.key("Return")
    wait("an answer of the model", lambda: window.grab(OUTCOME) != before)
    window.picture("steered")
    window.left_at = window.grab(RAIL), window.grab(TITLE)


def close(window):
    window.close()
    knobs = json.dumps(window.place()["steering"])
    if str(FEATURE) not in knobs or str(STRENGTH) not in knobs:
        raise Failed(f"the settings keep {knobs} and not feature {FEATURE} at {STRENGTH}")


def start_again(window):
    window.start()
    wait(
        "the project and screen where it was left",
        lambda: (window.grab(RAIL), window.grab(TITLE)) == window.left_at,
    )
    window.picture("where-it-was-left")
    window.close()


def export(window):
    """By the command line: the window's own goes through a dialog of the desktop."""
    out = window.home / "decisions.csv"
    words = [window.program, "--project", window.project, "review", "export"]
    words += ["films", out]
    subprocess.run(words, check=True, env=window.environment, stdout=subprocess.DEVNULL)
    if ADDED not in out.read_text():
        raise Failed(f"{out} lacks the edited label")


STEPS = [start_empty, build_demo, open_feature, edit_label, review, steer, close, start_again, export]


def main():
    program, pictures = sys.argv[1:]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        window = Window(program, pictures, home)
        for step in STEPS:
            name = step.__name__.replace("_", " ")
            print(f"{name} ({time.monotonic() - began:.0f} s)", flush=True)
            try:
                step(window)
            except (Failed, subprocess.CalledProcessError) as problem:
                subprocess.run(
                    ["import", "-window", "root", window.pictures / "failed.png"], check=False
                )
                window.process.kill()
                window.process.wait()
                sys.exit(f"driven window: step \"{name}\" failed: {problem}")
    print(f"all {len(STEPS)} steps passed in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
