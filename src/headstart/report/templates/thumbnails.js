// A thumbnail of a sheet of them: `tile` is its place, `facts` holds the sheet and how many are in a row.
const picture = (element, facts, tile, side) => {
  element.hidden = !facts.sheet || tile < 0;
  if (element.hidden) return;
  Object.assign(element.style, {
    width: side + "px", height: side + "px", backgroundImage: "url(" + facts.sheet + ")",
    backgroundSize: side * facts.across + "px auto",
    backgroundPosition: -side * (tile % facts.across) + "px " + -side * Math.floor(tile / facts.across) + "px",
  });
};
