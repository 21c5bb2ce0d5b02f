"use strict";
const form = document.getElementById("form"), input = document.getElementById("images");
const results = document.getElementById("results");
document.getElementById("here").textContent = location.href;

fetch("/health").then((answer) => answer.json()).then((facts) => {
  document.getElementById("title").textContent = facts.run;
  document.getElementById("about").textContent = `${facts.task}: ${facts.classes.join(", ")}`;
});

for (const kind of ["dragover", "dragenter"]) form.addEventListener(kind, (event) => {
  event.preventDefault();
  form.classList.add("over");
});
form.addEventListener("dragleave", () => form.classList.remove("over"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  input.files = event.dataTransfer.files;
  send();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});

async function send() {
  const images = [...input.files], body = new FormData();
  for (const image of images) body.append("images", image);
  results.textContent = "…";
  try {
    const answer = await fetch("/predict", { method: "POST", body });
    const content = await answer.json();
    results.textContent = answer.ok || content.predictions ? "" : JSON.stringify(content.detail);
    (content.predictions || []).forEach((each, number) => show(each, images[number]));
  } catch (error) {
    results.textContent = String(error);
  }
}

function show(found, image) {
  const figure = document.createElement("figure"), picture = new Image();
  picture.src = URL.createObjectURL(image);
  picture.alt = found.filename;
  figure.append(picture);
  if (found.mask_png) {
    const mask = new Image();
    mask.src = `data:image/png;base64,${found.mask_png}`;
    mask.alt = "mask";
    figure.append(mask);
  }
  const table = document.createElement("table");
  const rows = Object.entries(found.probabilities || found.shares || {}).sort((a, b) => b[1] - a[1]);
  for (const [name, share] of rows.slice(0, 10)) {
    const row = table.insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = `${(100 * share).toFixed(1)} %`;
  }
  figure.append(table);
  if (found.error) {
    figure.className = "error";
    figure.append(found.error);
  }
  results.append(figure);
}
