#!/usr/bin/env python3
"""Draws the program's icon and writes every size an operating system asks for.

Python's standard library is enough: `python3 assets/icons/draw.py src-tauri/icons`.
The picture is a film on a light box: a spine, the arcs of the ribs, and one feature that lights up.
"""

import math
import struct
import sys
import zlib
from pathlib import Path

MASTER = 1024
DARK_TOP, DARK_BOTTOM = (30, 41, 56), (11, 16, 24)
BONE, GLOW = (176, 200, 222), (255, 176, 66)
SPOT = (0.645, 0.575)


def smooth(edge0, edge1, x):
    t = min(max((x - edge0) / (edge1 - edge0), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def rounded_square(x, y, half, radius):
    qx, qy = abs(x - 0.5) - half + radius, abs(y - 0.5) - half + radius
    outside = math.hypot(max(qx, 0.0), max(qy, 0.0))
    return outside + min(max(qx, qy), 0.0) - radius


def ribs():
    """Polylines of the ribs with half their width, in the unit square, both sides."""
    lines = []
    for rib in range(5):
        top = 0.245 + 0.112 * rib
        reach = (0.205, 0.262, 0.292, 0.300, 0.275)[rib]
        drop = (0.036, 0.052, 0.060, 0.062, 0.060)[rib]
        width = 0.0205 - 0.001 * rib
        for side in (-1.0, 1.0):
            points = []
            for step in range(25):
                a = step / 24.0 * 0.80 * math.pi
                points.append((0.5 + side * (0.052 + (reach - 0.052) * math.sin(a * 0.62) ** 0.75),
                               top + drop * (1.0 - math.cos(a)) - 0.018 * math.sin(a)))
            lines.append((points, width))
    return lines


def draw(n):
    """The picture as n rows of RGBA bytes."""
    px = 1.0 / n
    field = [[0.0] * n for _ in range(n)]
    for points, width in ribs():
        for (ax, ay), (bx, by) in zip(points, points[1:]):
            dx, dy = bx - ax, by - ay
            length = dx * dx + dy * dy or 1e-12
            reach = width + 2 * px
            for j in range(max(int((min(ay, by) - reach) * n), 0), min(int((max(ay, by) + reach) * n) + 1, n)):
                y = (j + 0.5) * px
                row = field[j]
                for i in range(max(int((min(ax, bx) - reach) * n), 0), min(int((max(ax, bx) + reach) * n) + 1, n)):
                    x = (i + 0.5) * px
                    t = min(max(((x - ax) * dx + (y - ay) * dy) / length, 0.0), 1.0)
                    d = math.hypot(x - ax - t * dx, y - ay - t * dy)
                    cover = 1.0 - smooth(width - px, width + px, d)
                    if cover > row[i]:
                        row[i] = cover
    rows = []
    for j in range(n):
        y = (j + 0.5) * px
        row = bytearray()
        for i in range(n):
            x = (i + 0.5) * px
            d = rounded_square(x, y, 0.47, 0.105)
            alpha = 1.0 - smooth(-px, px, d)
            if alpha <= 0.0:
                row += b"\0\0\0\0"
                continue
            colour = [a + (b - a) * y for a, b in zip(DARK_TOP, DARK_BOTTOM)]
            rim = smooth(-0.022, -0.010, d) * 0.30
            colour = [c + (v - c) * rim for c, v in zip(colour, BONE)]
            # Vertebrae: short blocks along the middle.
            phase = ((y - 0.17) / 0.0747) % 1.0
            if 0.17 < y < 0.84:
                spine = (1.0 - smooth(0.026 - px, 0.026 + px, abs(x - 0.5))) * (
                    smooth(0.10, 0.22, phase) * (1.0 - smooth(0.86, 0.98, phase)))
            else:
                spine = 0.0
            bone = max(field[j][i] * (0.80 - 0.12 * y), spine * 0.88)
            colour = [c + (v - c) * bone for c, v in zip(colour, BONE)]
            r = math.hypot(x - SPOT[0], y - SPOT[1])
            halo = math.exp(-((r / 0.118) ** 2)) * 0.90
            colour = [c + (v - c) * halo for c, v in zip(colour, GLOW)]
            core = 1.0 - smooth(0.030, 0.062, r)
            colour = [c + (v - c) * core for c, v in zip(colour, (255, 244, 214))]
            row += bytes(int(min(max(c, 0.0), 255.0) + 0.5) for c in colour) + bytes([int(alpha * 255 + 0.5)])
        rows.append(bytes(row))
    return rows


def shrink(rows, size):
    """Mean over blocks, with the colour weighted by its opacity."""
    factor = len(rows) // size
    out = []
    for j in range(size):
        line = bytearray()
        for i in range(size):
            sums = [0, 0, 0, 0]
            for row in rows[j * factor:(j + 1) * factor]:
                for k in range(i * factor * 4, (i + 1) * factor * 4, 4):
                    a = row[k + 3]
                    sums[0] += row[k] * a
                    sums[1] += row[k + 1] * a
                    sums[2] += row[k + 2] * a
                    sums[3] += a
            a = sums[3]
            line += bytes((s + a // 2) // a if a else 0 for s in sums[:3])
            line.append((a + factor * factor // 2) // (factor * factor))
        out.append(bytes(line))
    return out


def png(rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", len(rows), len(rows), 8, 6, 0, 0, 0)
    raw = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def ico(pictures):
    """A Windows icon of PNG pictures by size; 256 is written as 0."""
    offset = 6 + 16 * len(pictures)
    head, body = struct.pack("<HHH", 0, 1, len(pictures)), b""
    for size, data in pictures:
        head += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(data), offset + len(body))
        body += data
    return head + body


def icns(pictures):
    """A macOS icon of PNG pictures by their four-letter kind."""
    body = b"".join(kind + struct.pack(">I", len(data) + 8) + data for kind, data in pictures)
    return b"icns" + struct.pack(">I", len(body) + 8) + body


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    master = draw(MASTER)
    picture = {MASTER: png(master)}
    for size in (512, 256, 128, 64, 32, 16):
        picture[size] = png(shrink(master, size))
    (out / "32x32.png").write_bytes(picture[32])
    (out / "128x128.png").write_bytes(picture[128])
    (out / "128x128@2x.png").write_bytes(picture[256])
    (out / "icon.png").write_bytes(picture[512])
    (out / "icon.ico").write_bytes(ico([(s, picture[s]) for s in (16, 32, 64, 128, 256)]))
    (out / "icon.icns").write_bytes(icns([
        (b"icp4", picture[16]), (b"icp5", picture[32]), (b"icp6", picture[64]),
        (b"ic07", picture[128]), (b"ic08", picture[256]), (b"ic09", picture[512]), (b"ic10", picture[1024])]))


if __name__ == "__main__":
    main()
