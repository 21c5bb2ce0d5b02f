// A thumbnail of a sheet of them: `tile` is its place, `facts` holds the sheet and how many are in a row.
const picture = (element, facts, tile, side) => {
  element.hidden = !facts.sheet || tile < 0;
  if (element.hidden) return;
  const zoom = side / (facts.side - 1), left = tile % facts.across, top = Math.floor(tile / facts.across);  // without half a pixel at the edges: there the next one shines through
  Object.assign(element.style, {
    width: side + "px", height: side + "px", backgroundImage: "url(" + facts.sheet + ")",
    backgroundSize: zoom * facts.side * facts.across + "px auto",
    backgroundPosition: -zoom * (facts.side * left + 0.5) + "px " + -zoom * (facts.side * top + 0.5) + "px",
  });
};
// A class within a sentence: a name that is written from right to left leaves the words around it where they are.
const named = (name) => "\u2068" + name + "\u2069";
const write = (element, text) => element.replaceChildren(...text.split(/\u2068([^\u2069]*)\u2069/).map((part, i) => {
  return i % 2 ? Object.assign(document.createElement("bdi"), { textContent: part }) : part;
}));
