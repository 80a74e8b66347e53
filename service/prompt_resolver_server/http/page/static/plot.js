// Small plots. What they show stands beside them in figures, so they are hidden from screen readers.

import { KEPT_S } from "./samples.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, MARGIN] = [150, 28, 2];

/// Returns a column that plots points over the last five minutes, from 0 to `top` or their largest.
export const plot = (pointsOf, top = 0) => ({
  fill(cell, item) {
    const points = pointsOf(item);
    const path = cell.querySelector("path") ?? newPath(cell);
    path.setAttribute("d", outline(points, top));
  },
});

function newPath(cell) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("aria-hidden", "true");
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  cell.append(svg);
  return path;
}

/// A line through the points, broken where there is no value.
export function outline(points, top = 0) {
  const end = points.at(-1)?.at ?? 0;
  const largest = Math.max(top, ...points.map(({ value }) => value ?? 0)) || 1;
  let drawing = false;
  return points
    .filter(({ at }) => at >= end - KEPT_S)
    .map(({ at, value }) => {
      const command = drawing ? "L" : "M";
      drawing = value !== null;
      if (!drawing) return "";
      const x = WIDTH - MARGIN - ((end - at) / KEPT_S) * (WIDTH - 2 * MARGIN);
      const y = HEIGHT - MARGIN - (value / largest) * (HEIGHT - 2 * MARGIN);
      return `${command}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}
