// A model that `keras-facnn export` wrote, and ONNX Runtime, which runs it.

// What ONNX Runtime loads besides, from where its script is.
const RUNTIME = {
  mjs: ["ort-wasm-simd-threaded.mjs",
    "sha384-XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad"],
  wasm: ["ort-wasm-simd-threaded.wasm",
    "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"],
};

// ONNX Runtime would load these files unchecked. So they are loaded here.
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

// Returns a session and the facts about its file. `text` is the JSON that
// `export` wrote beside the file, `url` is where the file is.
async function openModel(name, url, text) {
  const facts = factsIn(name, text);
  const hash = facts.sha256.replace(/../g,
    (hex) => String.fromCharCode(parseInt(hex, 16)));
  await runtime;
  const response = await fetch(url, { integrity: `sha256-${btoa(hash)}` })
    .catch(() => { throw new Error(
      `${name} is missing, or is not the file that ${name}.json is about.`); });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const session = await ort.InferenceSession.create(bytes).catch(() => {
    throw new Error(`${name} is no model that ONNX Runtime can run.`); });
  const model = { session, facts };
  // One run on a black picture shows whether the answers are as they should
  // be. It also makes the first run on a photo faster.
  const [height, width] = sidesOf(facts);
  const black = new Float32Array(height * width * facts.image_shape[2]);
  await answer(model, black).catch(() => { throw new Error(
    `the answers of ${name} are not those that its JSON tells of.`); });
  return model;
}

const isCount = (n) => Number.isInteger(n) && n > 0 && n <= 8192;

function factsIn(name, text) {
  let facts = null;
  try {
    facts = JSON.parse(text);
  } catch { /* As below. */ }
  const { image_shape, class_names, layers, probabilities, sha256 }
    = facts ?? {};
  const [height, width, channels] = Array.isArray(image_shape)
    ? image_shape : [];
  const named = class_names === null || (Array.isArray(class_names)
    && class_names.every((name) => typeof name === "string"));
  if (!named || ![height, width].every((n) => n === null || isCount(n))
    || ![1, 3].includes(channels) || !/^[0-9a-f]{64}$/.test(sha256)
    || !["softmax", "sigmoid"].includes(probabilities)
    || !Array.isArray(layers) || !layers.length
    || !layers.every((n) => n === 0 || isCount(n))) {
    throw new Error(
      `${name}.json was not written by \`keras-facnn export\`.`);
  }
  return facts;
}

// Of the model's images; one of any size looks at 224 pixels.
const sidesOf = (facts) =>
  facts.image_shape.slice(0, 2).map((n) => n ?? 224);

// Returns the logits, and per layer the maps and their mean over all classes.
async function answer({ session, facts }, pixels) {
  const [height, width] = sidesOf(facts);
  const dims = [1, height, width, facts.image_shape[2]];
  const outputs = await session.run(
    { images: new ort.Tensor("float32", pixels, dims) });
  const logits = Array.from(outputs.logits.data);
  const classes = logits.length;
  if (classes !== (facts.class_names ?? logits).length) throw new Error();
  const maps = facts.layers.map((layer, i) => {
    const name = i + 1 < facts.layers.length
      ? `class_maps_${layer}` : "class_maps";
    const { data, dims: [, rows, columns, ...rest] } = outputs[name];
    if (`${rest}` !== `${classes}`) throw new Error();
    return { layer, data, rows, columns, means: meansOf(data, classes) };
  });
  return { logits, maps };
}

// The mean of all classes' maps.
function meansOf(data, classes) {
  return Float32Array.from({ length: data.length / classes }, (_, i) =>
    data.subarray(i * classes, (i + 1) * classes).reduce((a, b) => a + b)
      / classes);
}

// By sigmoid, a probability of its own for each class, or by softmax.
function probabilitiesOf(logits, facts) {
  if (facts.probabilities === "sigmoid") {
    return logits.map((y) => 1 / (1 + Math.exp(-y)));
  }
  const highest = Math.max(...logits);
  const powers = logits.map((y) => Math.exp(y - highest));
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}
