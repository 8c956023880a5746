// Draws evidence over a photo, in the colors of `keras_facnn.plots.colorize`.

// From red to pale yellow, every sixteenth color of the upper half of "inferno".
const COLORS = ["bc3754", "d24644", "e45a31", "f1731d", "f98e09", "fcac11",
  "f9cb35", "f2ea69", "fcffa4"].map(
  (hex) => hex.match(/../g).map((part) => parseInt(part, 16)));
const OPACITY = 0.85;
// How much of the photo's light is left. All color is the map's.
const LIGHT = 0.5;

// Lays a value of -1 to 1 over a gray and dark copy of a color [r, g, b], which
// it changes. Negative values have the same colors with red and blue exchanged.
function lay(value, color) {
  const [r, g, b] = color;
  const gray = LIGHT * (0.299 * r + 0.587 * g + 0.114 * b);
  const size = Math.min(Math.abs(value), 1);
  const at = size * (COLORS.length - 1);
  const low = Math.min(Math.floor(at), COLORS.length - 2);
  for (let k = 0; k < 3; k++) {
    const part = value < 0 ? 2 - k : k;
    const [from, to] = [COLORS[low][part], COLORS[low + 1][part]];
    const over = from + (to - from) * (at - low);
    color[k] = gray + OPACITY * size * (over - gray);
  }
}

// Returns the map of class `c` less that of the rival; null is the mean class.
function evidence({ data, means, rows, columns }, c, rival) {
  const classes = data.length / means.length;
  const values = means.map((mean, i) => data[i * classes + c]
    - (rival === null ? mean : data[i * classes + rival]));
  return { values, rows, columns };
}

const largest = (values) =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

// Draws a map over what a canvas shows, bilinearly, with half-pixel centers.
function drawMap(context, { values, rows, columns }, most) {
  const { width, height } = context.canvas;
  const image = context.getImageData(0, 0, width, height);
  const across = places(width, columns);
  places(height, rows).forEach(([top, bottom, down], y) => {
    across.forEach(([left, right, along], x) => {
      const row = (at) => values[at * columns + left] * (1 - along)
        + values[at * columns + right] * along;
      const value = row(top) * (1 - down) + row(bottom) * down;
      const at = 4 * (y * width + x);
      lay(value / Math.max(most, 1e-30), image.data.subarray(at, at + 3));
    });
  });
  context.putImageData(image, 0, 0);
}

// For each pixel: the two cells that it lies between, and how far along.
function places(pixels, cells) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const at = Math.min(
      Math.max((pixel + 0.5) * cells / pixels - 0.5, 0), cells - 1);
    const low = Math.floor(at);
    return [low, Math.min(low + 1, cells - 1), at - low];
  });
}

// The colors from -1 to 1 over middle gray, for a scale.
function scaleColors() {
  const colors = Array.from({ length: 33 }, (_, i) => {
    const color = [160, 160, 160];
    lay(i / 16 - 1, color);
    return `rgb(${color.map(Math.round)})`;
  });
  return `linear-gradient(90deg, ${colors})`;
}
