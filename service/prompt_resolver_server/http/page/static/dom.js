// Making and filling elements. Whatever is shown is put in as text, so that no id and no prompt is
// ever read as markup.

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

export function setText(node, text) {
  // A text that is put in anew would be read out anew, and lose what is selected of it.
  if (node.textContent !== text) node.textContent = text;
}

/// A column that shows a text.
export const text = (tell, className = "") => ({
  className,
  fill: (cell, item) => setText(cell, tell(item)),
});

/// A column that shows a number.
export const number = (tell) => text(tell, "number");

/// Returns a function that has a table show some items. Rows are kept, and with them the focus.
export function table(id, keyOf, columns) {
  const body = byId(id).tBodies[0];
  let rows = new Map();
  return (items) => {
    const kept = new Map();
    for (const item of items) {
      const key = keyOf(item);
      kept.set(key, rows.get(key) ?? newRow(columns));
    }
    for (const [key, row] of rows) if (!kept.has(key)) row.remove();
    [...kept.values()].forEach((row, index) => {
      columns.forEach((column, at) => column.fill(row.cells[at], items[index]));
      if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    });
    rows = kept;
  };
}

function newRow(columns) {
  const row = element("tr");
  columns.forEach(({ className }, at) => {
    const cell = at ? element("td") : element("th", { scope: "row" });
    if (className) cell.className = className;
    row.append(cell);
  });
  return row;
}
