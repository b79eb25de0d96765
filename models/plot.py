"""Line charts as SVG, with intervals, on white and on dark pages alike."""

COLORS = ["#8c959f", "#d9730d", "#1f6feb", "#1a7f37", "#8250df"]
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 46


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


class Panel:
    """One set of axes. Lines are [(name, color index, [(x, y, low, high)])]; low and high may be None."""

    def __init__(self, title, x_label, lines, y_range=None, x_ticks=None, percent=False, marks=(), width=540, height=300):
        self.title, self.x_label, self.lines, self.percent, self.marks = title, x_label, lines, percent, marks
        self.width, self.height = width, height
        points = [point for _, _, line in lines for point in line]
        self.x_ticks = x_ticks or self.round_ticks(min(p[0] for p in points), max(p[0] for p in points))
        self.x_low, self.x_high = min(p[0] for p in points), max(p[0] for p in points)
        self.y_low, self.y_high = y_range or self.around([p[1] for p in points])

    @staticmethod
    def around(values):
        low, high = min(values), max(values)
        room = (high - low or 1) * 0.08
        return low - room, high + room

    @staticmethod
    def round_ticks(low, high):
        step = 1
        while (high - low) / step > 6:
            step *= 2 if str(step)[0] == "1" else 2.5 if str(step)[0] == "2" else 2
        step = int(step)
        return [(at, f"{at:,}") for at in range(int(-(-low // step)) * step, int(high) + 1, step)]

    def x(self, value):
        return LEFT + (self.width - LEFT - RIGHT) * (value - self.x_low) / (self.x_high - self.x_low or 1)

    def y(self, value):
        value = min(max(value, self.y_low), self.y_high)
        return TOP + (self.height - TOP - BOTTOM) * (self.y_high - value) / (self.y_high - self.y_low or 1)

    def svg(self):
        out = [f'<text x="{LEFT}" y="18" font-size="14" fill="#57606a">{escaped(self.title)}</text>']
        for at in range(5):
            value = self.y_low + (self.y_high - self.y_low) * at / 4
            label = f"{value:.0%}" if self.percent else f"{value:.4g}"
            out.append(f'<path d="M{LEFT} {self.y(value):.1f}H{self.width - RIGHT}" stroke="#8c959f" stroke-opacity=".35"/>'
                       f'<text x="{LEFT - 6}" y="{self.y(value) + 4:.1f}" text-anchor="end" fill="#57606a">{label}</text>')
        for value, label in self.x_ticks:
            out.append(f'<text x="{self.x(value):.1f}" y="{self.height - BOTTOM + 18}" text-anchor="middle" fill="#57606a">{label}</text>')
        out.append(f'<text x="{(LEFT + self.width - RIGHT) / 2:.0f}" y="{self.height - 8}" text-anchor="middle" fill="#57606a">{escaped(self.x_label)}</text>')
        for value, label in self.marks:
            out.append(f'<path d="M{LEFT} {self.y(value):.1f}H{self.width - RIGHT}" stroke="#57606a" stroke-dasharray="4 4"/>'
                       f'<text x="{self.width - RIGHT}" y="{self.y(value) - 4:.1f}" text-anchor="end" fill="#57606a">{escaped(label)}</text>')
        for at, (name, color, line) in enumerate(self.lines):
            color = COLORS[color]
            band = [p for p in line if p[2] is not None]
            if band:
                edge = [f"{self.x(p[0]):.1f} {self.y(p[3]):.1f}" for p in band] + [f"{self.x(p[0]):.1f} {self.y(p[2]):.1f}" for p in reversed(band)]
                out.append(f'<path d="M{"L".join(edge)}Z" fill="{color}" opacity=".15"/>')
            path = "L".join(f"{self.x(p[0]):.1f} {self.y(p[1]):.1f}" for p in line)
            out.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>')
            if name:
                out.append(f'<text x="{LEFT + 8 + 175 * at}" y="34" fill="{color}">{escaped(name)}</text>')
        return "".join(out)


def side_by_side(panels):
    """Panels from left to right, as one file."""
    width, height = sum(panel.width for panel in panels), max(panel.height for panel in panels)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="system-ui, sans-serif" font-size="12">']
    left = 0
    for panel in panels:
        out.append(f'<g transform="translate({left} 0)">{panel.svg()}</g>')
        left += panel.width
    return "\n".join(out) + "\n</svg>\n"


def bars(title, groups, names, colors, width=1080, row=15):
    """Horizontal bars: groups are [(label, [(value, low, high) or None])], values from 0 to 1."""
    left, right, top = 150, 40, 46
    block = row * len(names) + 8
    height = top + block * len(groups) + 30
    x = lambda value: left + (width - left - right) * value
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="system-ui, sans-serif" font-size="12">',
           f'<text x="{left}" y="18" font-size="14" fill="#57606a">{escaped(title)}</text>']
    for at, (name, color) in enumerate(zip(names, colors)):
        out.append(f'<text x="{left + 160 * at}" y="36" fill="{COLORS[color]}">{escaped(name)}</text>')
    for tick in (0, 0.25, 0.5, 0.75, 1):
        out.append(f'<path d="M{x(tick):.1f} {top}V{height - 26}" stroke="#8c959f" stroke-opacity=".35"/>'
                   f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle" fill="#57606a">{tick:.0%}</text>')
    for at, (label, values) in enumerate(groups):
        y = top + block * at + 6
        out.append(f'<text x="{left - 8}" y="{y + block / 2:.1f}" text-anchor="end" fill="#57606a">{escaped(label)}</text>')
        for which, value in enumerate(values):
            if value is None:
                continue
            middle = y + row * which + row / 2 - 1
            out.append(f'<rect x="{left}" y="{y + row * which:.1f}" width="{max(1, x(value[0]) - left):.1f}" height="{row - 3}" '
                       f'fill="{COLORS[colors[which]]}" opacity=".8"/>'
                       f'<path d="M{x(value[1]):.1f} {middle:.1f}H{x(value[2]):.1f}" stroke="#57606a" stroke-width="1.4"/>')
    return "\n".join(out) + "\n</svg>\n"
