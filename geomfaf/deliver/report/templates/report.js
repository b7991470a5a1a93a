"use strict";
// The map's layers lie in the page as JSON, in the metres of the run's grid: nothing is fetched.
const content = JSON.parse(document.getElementById("content").textContent);

// Texts come from the user's layers: they are only ever set as text, never as HTML.
function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}
const escaped = text => element("span", text).innerHTML;
const latlng = point => [point[1], point[0]];
const narrow = window.innerWidth < 700;

const [west, south, east, north] = content.bounds;
const bounds = L.latLngBounds([south, west], [north, east]);
const map = L.map("map", {
  crs: L.CRS.Simple, minZoom: -12, maxZoom: 3, zoomSnap: 0.25, zoomDelta: 0.5, attributionControl: false,
});
map.fitBounds(bounds);
map.setMinZoom(map.getZoom() - 1);
L.control.scale({imperial: false, maxWidth: 160}).addTo(map);

// 1. Images on the grid: one below, the hatched one above.
const images = {};
const overlays = {};
let below = null;
for (const image of content.images) {
  const layer = L.imageOverlay(image.address, bounds, {opacity: image.over ? 0.8 : 0.85, alt: image.name});
  (image.over ? overlays : images)[escaped(image.name)] = layer;
  layer.image = image;
  if (image.shown) layer.addTo(map);
  if (image.shown && !image.over) below = layer;
}
images["No image"] = L.layerGroup();

// 2. Lines, samples, deposits.
const canvas = L.canvas({padding: 0.3});
function lines(name, list, style) {
  if (!list.length) return null;
  const group = L.layerGroup(list.map(line => L.polyline(line.map(latlng), {...style, interactive: false})));
  overlays[name] = group;
  return group;
}
const border = lines("Study area", content.study_area, {color: "#000", weight: 1.5, renderer: canvas});
const faults = lines("Faults", content.faults, {color: "#3f4a54", weight: 1, renderer: canvas});
for (const group of [border, faults]) if (group) group.addTo(map);
if (content.samples.length) {
  overlays["Samples"] = L.layerGroup(content.samples.map(sample =>
    L.circleMarker(latlng(sample.at), {renderer: canvas, radius: 2.5, color: "#222", weight: 0, fillOpacity: 0.8})
      .bindPopup(element("p", "Sample " + sample.name))));
}

// 3. Targets with their reasons, and a link to their sheets.
const shapes = {};
const targets = L.layerGroup(content.targets.map(target => {
  const style = target.explore
    ? {color: "#08306b", weight: 2.5}
    : {color: "#000000", weight: 2, dashArray: "5 4"};
  const shape = L.polygon(target.rings.map(part => part.map(ring => ring.map(latlng))),
    {...style, fillOpacity: 0.04, renderer: L.svg()});
  const note = document.createElement("div");
  note.append(element("b", "Target " + target.name + " (" + target.status + ")"));
  const figures = target.area + " km\u00b2" + (target.heldout === null ? "" : ", held-out score " + target.heldout);
  for (const text of [figures, ...target.reasons]) note.append(element("p", text));
  if (document.getElementById(target.sheet)) {
    const link = element("a", "Open its sheet");
    link.href = "#" + target.sheet;
    note.append(link);
  }
  shape.bindPopup(note, {maxWidth: 280});
  shape.bindTooltip(element("span", target.name));
  shapes[target.sheet] = shape;
  return shape;
}));
overlays["Targets"] = targets.addTo(map);
// Hundreds of deposits get smaller signs.
const side = content.deposits.length > 100 ? 10 : 14;
const mark = '<svg width="' + side + '" height="' + side + '" viewBox="0 0 14 14"><path d="M7 1 L13 12.5 L1 12.5 Z" fill="#fff" stroke="#000" stroke-width="1.3"/></svg>';
overlays["Known deposits"] = L.layerGroup(content.deposits.map(deposit => {
  const note = document.createElement("div");
  note.append(element("b", deposit.name || "Known deposit"));
  if (deposit.commodity) note.append(element("p", deposit.commodity));
  if (deposit.best !== null) note.append(element("p", "In the best " + deposit.best + " % of the ground, by models that never saw it"));
  return L.marker(latlng(deposit.at), {icon: L.divIcon({className: "deposit", html: mark, iconSize: [0, 0]}), keyboard: false}).bindPopup(note);
})).addTo(map);
L.control.layers(images, overlays, {collapsed: narrow}).addTo(map);

// 4. Legend, opacity, position.
function showLegend() {
  const legend = document.getElementById("legend");
  legend.replaceChildren();
  for (const [name, colour] of below && below.image ? below.image.legend : []) {
    const entry = document.createElement("span");
    if (colour) {
      const patch = document.createElement("i");
      patch.style.background = colour;
      entry.append(patch);
    }
    entry.append(name);
    legend.append(entry);
  }
}
map.on("baselayerchange", event => {
  below = event.layer;
  setOpacity();
  showLegend();
});
const opacity = document.getElementById("opacity");
function setOpacity() {
  if (below && below.setOpacity) below.setOpacity(opacity.value / 100);
}
opacity.addEventListener("input", setOpacity);
map.on("mousemove", event => {
  document.getElementById("position").textContent =
    Math.round(event.latlng.lng).toLocaleString("en") + " E, " + Math.round(event.latlng.lat).toLocaleString("en") + " N";
});
showLegend();

// 5. A row opens its target: the sheet below and the place on the map.
function openTarget(sheet) {
  for (const row of document.querySelectorAll("tr[data-sheet]")) row.classList.toggle("open", row.dataset.sheet === sheet);
  const shape = shapes[sheet];
  if (!shape) return;
  map.fitBounds(shape.getBounds().pad(1), {animate: false});
  shape.openPopup();
}
for (const row of document.querySelectorAll("tr[data-sheet]")) {
  row.addEventListener("click", () => { location.hash = row.dataset.sheet; openTarget(row.dataset.sheet); });
}
window.addEventListener("hashchange", () => openTarget(location.hash.slice(1)));
if (location.hash) openTarget(location.hash.slice(1));
document.getElementById("all-sheets").addEventListener("click", event => {
  const open = document.body.classList.toggle("sheets-open");
  event.target.textContent = open ? "Hide the sheets" : "Show all sheets";
});

// 6. A click on a column's head sorts by it: numbers as numbers.
function sortBy(table, column, head) {
  const rising = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const value = row => {
    const text = row.cells[column].textContent.replace(/,(?=\d{3})/g, "");
    const number = parseFloat(text.replace(/^[A-Z<]+/, ""));
    return Number.isNaN(number) ? text : number;
  };
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : (typeof x === "number" ? -1 : 1);
    return rising ? order : -order;
  });
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) =>
    head.addEventListener("click", () => sortBy(table, column, head)));
}
for (const picture of document.querySelectorAll(".zoomable")) {
  picture.addEventListener("click", () => { picture.style.maxWidth = picture.style.maxWidth ? "" : "none"; });
}
