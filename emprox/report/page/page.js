"use strict";
// Draws the figures of an emprox report. Figures come as Plotly figures in which "@name" stands for the theme's colour --name.
(() => {
  const root = document.documentElement;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  let printing = false;
  const drawn = new Map(); // key of a figure to {panel, hidden}
  let figures = {};

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // ---- packed blocks -------------------------------------------------------------------------------------------------------
  async function unpack(id) {
    const text = atob(document.getElementById(id).textContent.trim());
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  // ---- themes --------------------------------------------------------------------------------------------------------------
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);

  function coloured(value, style) {
    if (typeof value === "string" && value.startsWith("@")) {
      const [name, alpha] = value.slice(1).split("/");
      return style.getPropertyValue(`--${name}`).trim() + (alpha || "");
    }
    if (Array.isArray(value)) return typeof value[0] === "object" || `${value[0]}`.startsWith("@") ? value.map((v) => coloured(v, style)) : value;
    if (value && typeof value === "object" && !ArrayBuffer.isView(value))
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, style)]));
    return value;
  }

  function setTheme(theme) {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    one("#theme").textContent = isDark() ? "Light" : "Dark";
    one("#theme").setAttribute("aria-label", `Change to the ${isDark() ? "light" : "dark"} theme`);
    for (const key of drawn.keys()) draw(key);
  }

  // ---- figures -------------------------------------------------------------------------------------------------------------
  let webGL; // asked for only where a figure wants it: the answer costs a context
  function hasWebGL() {
    try {
      return (webGL ??= Boolean(document.createElement("canvas").getContext("webgl")));
    } catch {
      return (webGL = false);
    }
  }

  function draw(key) {
    const state = drawn.get(key) || { panel: 0, hidden: new Set() };
    drawn.set(key, state);
    const plot = one(`#${CSS.escape(key)} .plot`);
    const { data, layout } = coloured(figures[key].panels[state.panel], getComputedStyle(root));
    for (const trace of data) {
      if (trace.type === "scattergl" && !hasWebGL()) trace.type = "scatter";
      trace.visible = !state.hidden.has(trace.name);
    }
    if (printing) Object.assign(layout, { width: 640, height: Math.min(340, plot.clientHeight) });
    if (plot.clientWidth < 480) layout.margin.l = Math.min(layout.margin.l, 130);
    const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
    all(".waiting", plot).forEach((note) => note.remove());
    const ready = Plotly.react(plot, data, layout, options);
    legend(key, state);
    if (figures[key].map && !state.listens) {
      state.listens = true;
      plot.on("plotly_click", (event) => {
        const { x, y } = event.points[0];
        const place = event.points[0].data.ids_?.[event.points[0].pointNumber];
        if (place !== undefined && x !== null && y !== null) explorers.get(key).show(place);
      });
    }
    return ready;
  }

  const marks = {
    circle: '<circle cx="11" cy="6" r="4.5"/>', square: '<rect x="7" y="2" width="8" height="8"/>',
    diamond: '<path d="M11 .5l5.5 5.5-5.5 5.5-5.5-5.5z"/>', "triangle-up": '<path d="M11 1l5.5 9.5h-11z"/>',
    cross: '<path d="M9 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z"/>', x: '<path d="M7 1l4 3 4-3 1 2-3 3 3 3-1 2-4-3-4 3-1-2 3-3-3-3z"/>',
    star: '<path d="M11 0l1.7 4h4.3l-3.4 2.7 1.3 4.3-3.9-2.6-3.9 2.6 1.3-4.3-3.4-2.7h4.3z"/>', hexagon: '<path d="M8 1h6l3 5-3 5h-6l-3-5z"/>',
  };
  const dashes = { solid: "", dash: "5 3", dot: "2 2", dashdot: "6 2 2 2", longdash: "9 3" };

  function legend(key, state) {
    const box = one(`#${CSS.escape(key)} .legend`);
    const entries = figures[key].panels[state.panel].data.filter((trace) => trace.legend_);
    box.replaceChildren(
      ...(entries.length < 2 ? [] : entries).map((trace) => {
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        const colour = coloured(trace.legend_.colour, getComputedStyle(root));
        svg.setAttribute("aria-hidden", "true");
        svg.setAttribute("viewBox", "0 0 22 12");
        const line = trace.legend_.dash ? `<path d="M0 6h22" stroke="${colour}" stroke-width="2" stroke-dasharray="${dashes[trace.legend_.dash]}"/>` : "";
        svg.innerHTML = `${line}<g fill="${colour}">${marks[trace.legend_.symbol]}</g>`;
        const shown = !state.hidden.has(trace.name);
        const toggle = () => {
          if (shown) state.hidden.add(trace.name);
          else state.hidden.delete(trace.name);
          draw(key);
          all("button", box).find((button) => button.textContent === trace.name)?.focus();
        };
        return make("button", { type: "button", "aria-pressed": String(shown), title: "Show or hide", onclick: toggle }, svg, trace.name);
      }),
    );
  }

  function addPanels(key) {
    const box = one(`#${CSS.escape(key)} .panels`);
    if (!box) return;
    const choice = make("select", { onchange: (event) => { drawn.get(key).panel = Number(event.target.value); draw(key); } },
      ...figures[key].panels.map((panel, i) => make("option", { value: i }, panel.name)));
    box.append(make("label", {}, "Show ", choice));
  }

  // ---- tables --------------------------------------------------------------------------------------------------------------
  function sortable(table) {
    const body = table.tBodies[0];
    table.querySelectorAll("th").forEach((head, column) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "descending" : !head.classList.contains("n");
        all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const shown = all("tr", body).filter((row) => !row.classList.contains("more")).length;
        const rows = [...body.rows].sort((a, b) => compared(key(a.cells[column]), key(b.cells[column]), up));
        rows.forEach((row, i) => row.classList.toggle("more", i >= shown));
        body.append(...rows);
      });
    });
    const key = (cell) => (cell.dataset.v === undefined ? cell.textContent : cell.dataset.v === "" ? null : Number(cell.dataset.v));
  }

  function compared(a, b, up) { // what is missing stands last either way
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
    return up ? order : -order;
  }

  function foldable(button) {
    const table = one("table", button.previousElementSibling);
    button.hidden = false;
    button.addEventListener("click", () => {
      const open = table.classList.toggle("all");
      button.textContent = open ? "Show fewer rows" : button.dataset.more;
      button.setAttribute("aria-expanded", String(open));
    });
  }

  // ---- maps ----------------------------------------------------------------------------------------------------------------
  const explorers = new Map();
  const number = (value, digits) => (value === null || value === undefined ? "" : value.toFixed(digits));

  function decimals(values) { // four significant digits of the largest
    const largest = values.reduce((most, v) => (v === null ? most : Math.max(most, Math.abs(v))), 0);
    return largest ? Math.min(4, Math.max(0, 3 - Math.floor(Math.log10(largest)))) : 0;
  }

  class Explorer {
    constructor(key, details) {
      this.key = key;
      this.d = details;
      this.box = document.getElementById(key);
      this.digits = details.rows.map(decimals);
      this.order = details.labels.map((_, i) => i);
      this.column = 0;
      this.up = false;
      this.page = 0;
      this.filter = "";
      this.browser();
      this.sort();
      this.show(this.order[0], false);
    }

    show(i, mark = true) {
      const card = one(".card", this.box);
      const facts = make("dl", {});
      this.d.columns.forEach((name, c) => {
        const value = this.d.rows[c][i];
        if (value !== null) facts.append(make("dt", {}, name), make("dd", {}, number(value, this.digits[c])));
      });
      const picture = make("div", { class: "drawing" }, this.picture(i));
      card.replaceChildren(make("h4", { class: "mono" }, this.d.labels[i]), picture, facts, this.neighbours(i));
      if (mark) this.mark(i);
    }

    mark(i) {
      const plot = one(".plot", this.box);
      if (!plot.data) return;
      const [x, y] = [this.d.x[i], this.d.y[i]];
      Plotly.relayout(plot, { shapes: [], annotations: [{ x, y, text: "", showarrow: true, arrowhead: 2, arrowsize: 1.1, arrowwidth: 2, ax: 24, ay: -24, arrowcolor: coloured("@ink", getComputedStyle(root)) }] });
    }

    neighbours(i) {
      const near = this.d.near[i] || [];
      if (!near.length) return make("p", { class: "note" }, "No measured neighbours.");
      const head = make("tr", {}, ...["nearest measured", "distance", "weight", "measured"].map((t, c) => make("th", { scope: "col", class: c ? "n" : null }, t)));
      const rows = near.map(([j, distance, weight]) =>
        make("tr", {}, make("td", { class: "text" }, this.link(j)), 
          ...[[distance, 3], [weight, 3], [this.d.rows[0][j], this.digits[0]]].map((cell) => make("td", { class: "n" }, number(...cell)))));
      return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
    }

    link(j) {
      return make("button", { type: "button", class: "arch mono", onclick: () => { this.show(j); one(".card", this.box).focus(); } }, this.d.labels[j]);
    }

    picture(i) {
      const graph = this.d.graphs[i];
      return graph ? drawing(graph[0].map((k) => this.d.kinds[k]), graph[1]) : make("p", { class: "note" }, this.d.without_picture || "Too large to draw.");
    }

    browser() {
      this.table = one(".browse table", this.box);
      const filter = one(".browse input", this.box);
      filter.addEventListener("input", () => { this.filter = filter.value.toLowerCase(); this.page = 0; this.sort(); });
      const names = ["architecture", ...this.d.columns];
      this.heads = names.map((name, c) => make("th", { scope: "col", class: c ? "n" : null },
        make("button", { type: "button", onclick: () => { this.up = this.column === c - 1 ? !this.up : !c; this.column = c - 1; this.page = 0; this.sort(); } }, name)));
      this.table.tHead.replaceChildren(make("tr", {}, ...this.heads));
      one(".previous", this.box).addEventListener("click", () => { this.page--; this.fill(); });
      one(".next", this.box).addEventListener("click", () => { this.page++; this.fill(); });
    }

    sort() {
      const value = this.column < 0 ? (i) => this.d.labels[i] : (i) => this.d.rows[this.column][i];
      this.order = this.d.labels.map((_, i) => i).filter((i) => this.d.labels[i].toLowerCase().includes(this.filter));
      this.order.sort((a, b) => compared(value(a), value(b), this.up));
      this.fill();
    }

    fill() {
      const size = 10, pages = Math.max(1, Math.ceil(this.order.length / size));
      this.page = Math.min(Math.max(this.page, 0), pages - 1);
      const rows = this.order.slice(this.page * size, (this.page + 1) * size).map((i) =>
        make("tr", {}, make("td", { class: "text" }, this.link(i)), ...this.d.columns.map((_, c) => make("td", { class: "n" }, number(this.d.rows[c][i], this.digits[c])))));
      this.table.tBodies[0].replaceChildren(...rows);
      this.heads.forEach((head, c) => {
        if (c - 1 === this.column) head.setAttribute("aria-sort", this.up ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
      one(".place", this.box).textContent = `${this.order.length} architectures, page ${this.page + 1} of ${pages}`;
      one(".previous", this.box).disabled = this.page === 0;
      one(".next", this.box).disabled = this.page === pages - 1;
    }
  }

  // A node's layer is its longest distance from the input; in a layer, nodes are ordered by the mean place of their sources.
  function drawing(kinds, flat) {
    const edges = [];
    for (let e = 0; e < flat.length; e += 2) edges.push([flat[e], flat[e + 1]]);
    const n = kinds.length, sources = kinds.map(() => []), layer = new Array(n).fill(0), x = new Array(n).fill(0);
    edges.forEach(([s, t]) => sources[t].push(s));
    for (let v = 1; v < n; v++) layer[v] = 1 + Math.max(-1, ...sources[v].map((s) => layer[s]));
    layer[n - 1] = Math.max(...layer.slice(0, -1)) + 1;
    const rows = [];
    layer.forEach((depth, v) => (rows[depth] ||= []).push(v));
    const middle = (v) => (sources[v].length ? sources[v].reduce((sum, s) => sum + x[s], 0) / sources[v].length : 0);
    rows.forEach((row) => {
      row.sort((a, b) => middle(a) - middle(b) || a - b);
      row.forEach((v, place) => { x[v] = place - (row.length - 1) / 2; });
    });
    const widths = kinds.map((kind) => Math.max(44, 7.4 * kind.length + 14));
    const column = Math.max(...widths) + 26, height = 58, box = 26;
    const at = (v) => [x[v] * column, layer[v] * height + height / 2];
    const seen = {}, parts = [];
    let left = Math.min(...x) * column - column / 2, right = Math.max(...x) * column + column / 2;
    edges.forEach(([s, t]) => {
      const twin = (seen[`${s},${t}`] = (seen[`${s},${t}`] ?? -1) + 1);
      const [x1, y1] = at(s), [x2, y2] = at(t);
      const a = y1 + box / 2, b = y2 - box / 2 - 5;
      const passed = (v) => x1 + ((x2 - x1) * (at(v)[1] - y1)) / (y2 - y1); // where a straight line would pass the layer of a node
      const between = kinds.map((_, v) => v).filter((v) => layer[v] > layer[s] && layer[v] < layer[t]);
      const hit = between.filter((v) => Math.abs(at(v)[0] - passed(v)) < widths[v] / 2 + 8);
      let bend = `C${x1 + 9 * twin},${(a + b) / 2} ${x2 + 9 * twin},${(a + b) / 2} ${x2 + 9 * twin},${b}`, shift = 9 * twin;
      if (hit.length) { // around what is in the way, on the shorter side
        const sides = [-1, 1].map((side) => Math.max(...between.map((v) => side * at(v)[0] + widths[v] / 2)) + 12 + 10 * twin);
        const side = sides[0] + (x1 + x2) / 2 < sides[1] - (x1 + x2) / 2 ? -1 : 1;
        const rim = side * sides[side < 0 ? 0 : 1], out = (rim - (x1 + x2) / 8) / 0.75;
        shift = side * 12;
        bend = `C${out},${a + (b - a) * 0.3} ${out},${b - (b - a) * 0.3} ${x2 + shift},${b}`;
        left = Math.min(left, rim - 6);
        right = Math.max(right, rim + 6);
      }
      parts.push(`<path d="M${x1 + shift},${a} ${bend}"/>`);
      parts.push(`<path class="tip" d="M${x2 + shift - 4},${b - 2} L${x2 + shift + 4},${b - 2} L${x2 + shift},${b + 5} Z"/>`);
    });
    kinds.forEach((kind, v) => {
      const [cx, cy] = at(v);
      const name = kind.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
      parts.push(`<rect x="${cx - widths[v] / 2}" y="${cy - box / 2}" width="${widths[v]}" height="${box}" rx="5"/><text x="${cx}" y="${cy + 4}">${name}</text>`);
    });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `${left} 0 ${right - left} ${rows.length * height}`);
    svg.setAttribute("width", right - left);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `Graph of ${n} nodes: ${edges.map(([s, t]) => `${kinds[s]} to ${kinds[t]}`).join(", ")}`);
    svg.innerHTML = parts.join("");
    return svg;
  }

  // ---- start ---------------------------------------------------------------------------------------------------------------
  async function fill(key) { // places and names of a map's points stand once, in its details
    const details = (figures[key].details = JSON.parse(await unpack(`${key}-details`)));
    for (const panel of figures[key].panels)
      for (const trace of panel.data) {
        trace.x = trace.ids_.map((i) => details.x[i]);
        trace.y = trace.ids_.map((i) => details.y[i]);
        trace.customdata = trace.ids_.map((i) => details.labels[i]);
      }
  }

  const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

  async function start() {
    all("table.sortable").forEach(sortable);
    all(".more-button").forEach(foldable);
    const button = one("#theme");
    button.hidden = false;
    button.addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(root.dataset.theme));
    setTheme(root.dataset.theme);
    if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old to draw the figures; their numbers are below each of them");
    const [code, packed] = await Promise.all([unpack("plotly-code"), unpack("figures")]);
    figures = JSON.parse(packed);
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
    const keys = Object.keys(figures);
    keys.forEach(addPanels);
    for (const key of keys) if (figures[key].map) await fill(key);
    const seen = (key) => { const { top, bottom } = document.getElementById(key).getBoundingClientRect(); return top < innerHeight && bottom > 0; };
    for (const key of keys.filter(seen)) await draw(key);
    root.dataset.ready = "seen";
    for (const key of keys) {
      await pause();
      if (!drawn.has(key)) await draw(key);
      if (figures[key].map) explorers.set(key, new Explorer(key, figures[key].details));
    }
    root.dataset.ready = "all";
    let before;
    addEventListener("beforeprint", () => { before = root.dataset.theme; printing = true; setTheme("light"); });
    addEventListener("afterprint", () => { printing = false; setTheme(before); });
  }

  start().catch((error) => {
    const problem = one("#problem");
    problem.textContent = `The figures cannot be drawn: ${error.message}`;
    problem.hidden = false;
    root.dataset.ready = "failed";
    console.error(error);
  });
})();
