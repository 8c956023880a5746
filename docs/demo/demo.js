// Classifies a photo by an exported FA-CNN, and lays each class's map over it.

const SHOWN = 5;
const byId = (id) => document.getElementById(id);
// What ONNX Runtime loads besides, from where its script is.
const RUNTIME = {
  mjs: ["ort-wasm-simd-threaded.mjs",
    "sha384-XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad"],
  wasm: ["ort-wasm-simd-threaded.wasm",
    "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"],
};
// What is on the page: a session and the facts of its file; a picture, the
// session's answer to it, and the class whose map is seen.
const state = {};

// The properties of an ONNX file, which ONNX Runtime doesn't give in browsers.
// A ModelProto is a row of fields; number 14 has a key (1) and a value (2).
function properties(bytes) {
  const found = {};
  for (const [number, field] of fields(bytes)) {
    if (number !== 14) continue;
    const pair = Object.fromEntries(fields(field));
    found[text(pair[1])] = text(pair[2]);
  }
  return found;
}

const text = (bytes) => new TextDecoder().decode(bytes);

function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0, place = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * place;
      place *= 128;
    } while (byte & 128);
    return value;
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) varint();
    else if (kind === 2) {
      const length = varint();
      yield [(tag - kind) / 8, bytes.subarray(at, at + length)];
      at += length;
    } else at += kind === 1 ? 8 : kind === 5 ? 4 : NaN;
  }
}

async function open(bytes) {
  const facts = factsOf(properties(bytes));
  await runtime;
  const session = await ort.InferenceSession.create(bytes);
  await check(session, facts);
  // Only now, so that a file that fails leaves what was there.
  Object.assign(state, { session, facts });
  byId("answer").hidden = true;
  byId("photo").disabled = false;
  say("");
}

// ONNX Runtime would load its files unchecked; so it gets them.
const runtime = Promise.all(
  Object.entries(RUNTIME).map(async ([kind, [name, integrity]]) => {
    const url = new URL(name, document.querySelector("script[integrity]").src);
    const response = await fetch(url, { integrity });
    return [kind, URL.createObjectURL(await response.blob())];
  }),
).then((urls) => {
  ort.env.wasm.wasmPaths = Object.fromEntries(urls);
}).catch(() => {
  throw new Error("ONNX Runtime cannot be loaded, or is not the known one.");
});

const isCount = (n) => Number.isInteger(n) && n > 0 && n <= 8192;

function factsOf(found) {
  let image_shape, class_names;
  try {
    [image_shape, class_names] = [found.image_shape, found.class_names]
      .map((value) => JSON.parse(value));
  } catch { /* As below. */ }
  const [height, width, channels] = image_shape ?? [];
  const named = class_names === null || (Array.isArray(class_names)
    && class_names.every((name) => typeof name === "string"));
  if (!named || ![height, width].every((n) => n === null || isCount(n))
    || ![1, 3].includes(channels)) {
    throw new Error("it was not written by `keras-facnn export`.");
  }
  return {
    image_shape,
    class_names,
    maps: found.maps,
    // Files that don't say so are of one label, by softmax.
    severalLabels: found.probabilities === "sigmoid",
  };
}

// One run on a black picture shows whether the answers are as they should be.
async function check(session, facts) {
  const [height, width] = sides(facts);
  const dims = [1, height, width, facts.image_shape[2]];
  const black = new Float32Array(dims.reduce((a, b) => a * b));
  const { logits, class_maps } = await session.run(
    { images: new ort.Tensor("float32", black, dims) });
  const classes = logits?.dims[1];
  if (logits?.dims.length !== 2 || class_maps?.dims.length !== 4
    || class_maps.dims[3] !== classes
    || (facts.class_names ?? logits.data).length !== classes) {
    throw new Error("its answers and its names are not of one model.");
  }
}

function say(message) {
  byId("message").textContent = message;
}

// Of the model's images; one of any size looks at 224 pixels.
const sides = (facts = state.facts) =>
  facts.image_shape.slice(0, 2).map((n) => n ?? 224);

// The photo's middle, in so many pixels.
function middle(picture, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";  // Behind what is transparent.
  context.fillRect(0, 0, width, height);
  const scale = Math.min(picture.width / width, picture.height / height);
  const [w, h] = [width * scale, height * scale];
  context.drawImage(picture, (picture.width - w) / 2, (picture.height - h) / 2,
    w, h, 0, 0, width, height);
  return canvas;
}

function tensor(picture) {
  const [height, width] = sides();
  const channels = state.facts.image_shape[2];
  const rgba = middle(picture, width, height).getContext("2d")
    .getImageData(0, 0, width, height).data;
  const values = new Float32Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const [r, g, b] = rgba.subarray(4 * i);
    if (channels === 1) values[i] = 0.299 * r + 0.587 * g + 0.114 * b;
    else values.set([r, g, b], 3 * i);
  }
  return new ort.Tensor("float32", values, [1, height, width, channels]);
}

async function explain(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is no picture that this browser can read.`);
  }
  const { session } = state;
  const { logits, class_maps } = await session.run(
    { images: tensor(picture) });
  // Another model was opened in the meantime.
  if (session !== state.session) return;
  const scores = Array.from(logits.data);
  state.picture = picture;
  state.logits = scores;
  state.maps = class_maps;
  state.order = scores.map((_, c) => c).sort((a, b) => scores[b] - scores[a]);
  byId("answer").hidden = false;
  say("");
  show(state.order[0]);
}

const nameOf = (c) => state.facts.class_names?.[c] ?? `class ${c}`;

// By sigmoid, a probability of its own for each class, or by softmax.
function probabilities(logits) {
  if (state.facts.severalLabels) return logits.map((y) => 1 / (1 + Math.exp(-y)));
  const highest = Math.max(...logits);
  const powers = logits.map((y) => Math.exp(y - highest));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

function show(chosen) {
  const shares = probabilities(state.logits);
  byId("bars").replaceChildren(...state.order.slice(0, SHOWN).map((c) => {
    const share = `${(100 * shares[c]).toFixed(1)}%`;
    const button = document.createElement("button");
    const number = document.createElement("span");
    const bar = document.createElement("i");
    number.textContent = share;
    bar.style.width = share;
    button.append(nameOf(c), number, bar);
    button.setAttribute("aria-pressed", c === chosen);
    button.onclick = () => {
      show(c);
      byId("bars").children[state.order.indexOf(c)].focus();
    };
    return button;
  }));
  byId("heading").textContent = `Evidence for ${nameOf(chosen)}`;
  byId("legend").textContent = "The brighter, the more evidence. All classes have one scale"
    + (state.facts.maps === "centered"
      ? "; only what is beyond the average class is shown." : ".");
  draw(chosen);
}

function draw(chosen) {
  const { data, dims: [, rows, columns, classes] } = state.maps;
  const most = Math.max(data.reduce((a, b) => Math.max(a, b), 0), 1e-12);
  const colors = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    const value = Math.max(data[i * classes + chosen], 0) / most;
    // From dark blue to yellow: red less blue grows evenly.
    colors.data.set(
      [30 + 225 * value, 20 + 200 * value ** 2, 60 * (1 - value), 160], 4 * i);
  }
  const map = new OffscreenCanvas(columns, rows);
  map.getContext("2d").putImageData(colors, 0, 0);
  const view = byId("view");
  const [height, width] = sides();
  view.height = Math.round(view.width * height / width);
  const context = view.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(middle(state.picture, view.width, view.height), 0, 0);
  // Gray, so that all color is the map's.
  context.globalCompositeOperation = "saturation";
  context.fillStyle = "grey";
  context.fillRect(0, 0, view.width, view.height);
  context.globalCompositeOperation = "source-over";
  context.drawImage(map, 0, 0, view.width, view.height);
}

byId("photo").onchange = async ({ target }) => {
  if (!target.files.length) return;
  say("Looking …");
  await explain(target.files[0]).catch((error) => say(error.message));
  target.value = "";  // So that the same file can be chosen again.
};

byId("model").onchange = async ({ target }) => {
  if (!target.files.length) return;
  say("Loading the model …");
  const bytes = new Uint8Array(await target.files[0].arrayBuffer());
  await open(bytes).catch((error) => say(`Not a model: ${error.message}`));
  target.value = "";
};

runtime.then(async () => {
  const response = await fetch("model.onnx");
  if (!response.ok) throw new Error("there is no model.onnx.");
  await open(new Uint8Array(await response.arrayBuffer()));
}).catch((error) => runtime.then(
  () => say(`Choose a model below. Beside this page, ${error.message}`),
  () => say(error.message)));
