"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { roles, schemas, texts } = data;
  const byId = (id) => document.getElementById(id);
  const INHERIT = 1, SET = 2, ADMIN = 4;
  // Drawings of more roles than these are no help: then only the neighbourhood of one is drawn.
  const DRAWN = 120;
  const WAYS_SHOWN = 3;

  // Text only ever becomes text: nothing here reads HTML.
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value; else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }
  function draw(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }
  const many = (count, one, more = one + "s") => `${count} ${count === 1 ? one : more}`;

  // ---- Memberships
  for (const role of roles) { role.groups = role.groups || []; role.members = []; }
  roles.forEach((role, number) => role.groups.forEach(([group, options]) => roles[group].members.push([number, options])));
  const kind = (role) => role.superuser ? "super" : role.login ? "login" : "group";
  const kindWord = (role) => role === roles[0] ? "everybody" : role.superuser ? "superuser" : role.login ? "login" : role.predefined ? "predefined" : "group";

  // From a role to all it reaches along memberships with `option`: the role before it on a shortest way.
  function reach(start, option, next = "groups") {
    const before = new Map([[start, null]]);
    const open = [start];
    for (const role of open) {
      for (const [other, options] of roles[role][next]) {
        if ((options & option || !option) && !before.has(other)) { before.set(other, role); open.push(other); }
      }
    }
    return before;
  }
  function way(before, end) {
    const names = [];
    for (let role = end; role !== null; role = before.get(role)) names.unshift(roles[role].name);
    return names.slice(1).join(" → ");
  }
  // Everything a role holds, PUBLIC last: [schema, text, why].
  function held(number) {
    const before = reach(number, INHERIT);
    const lines = [];
    for (const holder of before.keys()) {
      const why = holder === number ? "" : `through ${way(before, holder)}`;
      for (const [schema, text] of roles[holder].lines || []) lines.push([schema, texts[text], why]);
    }
    if (number !== 0) for (const [schema, text] of roles[0].lines || []) lines.push([schema, texts[text], "through PUBLIC"]);
    return lines;
  }

  // ---- Header
  byId("about").textContent = `PostgreSQL ${data.server}, database ${data.database} of ${data.owner}. As ${data.executor} saw it on ${data.now}; ${data.program}.`;
  const logins = roles.filter((role) => role.login).length;
  const memberships = roles.reduce((sum, role) => sum + role.groups.length, 0);
  for (const [count, word] of [[logins, "logins"], [roles.length - 1 - logins, "groups"], [memberships, "memberships"],
    [schemas.length, "schemas"], [data.tables, "tables and views"], [data.findings.length, "findings"]]) {
    byId("counts").append(make("div", { className: "count" }, make("b", {}, String(count)), word));
  }

  // ---- Findings
  const cards = byId("findings").querySelector(".cards");
  for (const finding of data.findings) {
    const list = make("ul", {}, ...finding.items.map((item) => make("li", {}, item)));
    cards.append(make("article", { className: finding.serious ? "card serious" : "card" },
      make("h3", {}, make("span", {}, finding.title), make("span", {}, String(finding.items.length))), make("p", { className: "note" }, finding.advice), list));
  }
  if (!data.findings.length) cards.append(make("p", {}, "Nothing that is worth a look."));

  // ---- Matrix
  byId("legend").append(
    "R read, W insert, update and delete, X execute, C create in the schema, O own it, U use it. A small letter: only on a part of the tables or routines. ",
    make("b", {}, "Underlined"), ": held without membership; else along memberships that inherit. What everybody has stands in the row of PUBLIC alone. ",
    "Struck out: useless, since USAGE on the schema is missing. Arrow keys move, the tooltip tells the exact privileges.");
  const table = byId("cells");
  const heads = schemas.map((schema) => make("th", { scope: "col", title: `${schema.name}: ${many(schema.tables, "table")}, owner ${roles[schema.owner].name}` }, make("span", {}, schema.name)));
  table.append(make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "role"), ...heads)));
  const body = make("tbody");
  const rows = roles.map((role, number) => {
    const head = make("th", { scope: "row", title: role.name }, link(number));
    const row = make("tr", {}, head);
    if (role.superuser) {
      row.append(make("td", { className: "all", colSpan: Math.max(schemas.length, 1) }, "superuser: everything"));
      return row;
    }
    const cells = new Map((role.cells || []).map((cell) => [cell[0], cell]));
    schemas.forEach((_, schema) => {
      const cell = cells.get(schema);
      const box = make("td");
      if (cell) {
        const direct = new Set(texts[cell[2]]);
        const capitals = texts[cell[1]];
        const shown = [...capitals].filter((letter) => letter !== "U" || capitals === "U" );
        for (const letter of shown) box.append(direct.has(letter) ? make("b", {}, letter) : letter);
        box.className = cell[3] ? "some" : "useless";
        box.tabIndex = -1;
        box.dataset.role = number;
        box.dataset.schema = schema;
      }
      row.append(box);
    });
    return row;
  });
  body.append(...rows);
  table.append(body);
  const firstCell = table.querySelector("td[data-role]");
  if (firstCell) firstCell.tabIndex = 0;
  table.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    let cell = event.target.closest("td");
    if (!step || !cell) return;
    event.preventDefault();
    let row = cell.parentElement;
    const column = cell.cellIndex;
    for (let place = column; ;) {
      if (step[1]) place += step[1]; else row = step[0] > 0 ? row.nextElementSibling : row.previousElementSibling;
      const next = row && row.cells[place];
      if (!next || (step[1] && next.tagName !== "TD")) return;
      if (next.dataset.role && next.offsetParent) { cell.tabIndex = -1; next.tabIndex = 0; next.focus(); return; }
    }
  });

  // ---- Tooltip
  const tip = byId("tip");
  function tell(cell) {
    const role = Number(cell.dataset.role), schema = Number(cell.dataset.schema);
    const lines = held(role).filter((line) => line[0] === schema);
    const items = lines.map(([, text, why]) => make("li", {}, why ? `${text} — ${why}` : text));
    const title = `${roles[role].name} in ${schemas[schema].name}`;
    tip.replaceChildren(make("b", {}, title), make("ul", {}, ...items));
    if (cell.className === "useless") tip.append(make("p", {}, "No USAGE on the schema: nothing in it can be named."));
    tip.hidden = false;
    const box = cell.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
    const below = box.bottom + 6;
    tip.style.top = `${below + tip.offsetHeight > innerHeight ? Math.max(8, box.top - tip.offsetHeight - 6) : below}px`;
  }
  const hide = () => { tip.hidden = true; };
  for (const name of ["mouseover", "focusin"]) table.addEventListener(name, (event) => { const cell = event.target.closest("td[data-role]"); if (cell) tell(cell); else hide(); });
  for (const name of ["mouseleave", "focusout"]) table.addEventListener(name, hide);

  // ---- Roles
  function link(number) {
    const anchor = make("a", { href: `#role-${number}` }, roles[number].name);
    anchor.addEventListener("click", () => { sections[number].open = true; });
    return anchor;
  }
  function joined(nodes) { return nodes.flatMap((node, place) => place ? [", ", node] : [node]); }
  function edge([number, options]) {
    const notes = [];
    if (!(options & INHERIT)) notes.push(options & SET ? "only by SET ROLE" : "without INHERIT and SET");
    if (options & ADMIN) notes.push("admin");
    const span = make("span", {}, link(number));
    if (notes.length) span.append(` (${notes.join(", ")})`);
    return span;
  }
  // A part that can be opened; what is in it is made when it is opened first.
  const contents = new Map();
  function folded(id, summary, content) {
    const section = make("details", { id }, make("summary", {}, ...summary));
    contents.set(section, content);
    section.addEventListener("toggle", () => { if (section.open) fill(section); });
    return section;
  }
  function fill(section) {
    if (!section.querySelector(".inside")) section.append(make("div", { className: "inside" }, ...contents.get(section)()));
  }
  function about(number) {
    const role = roles[number];
    const facts = make("dl");
    const fact = (name, ...content) => facts.append(make("dt", {}, name), make("dd", {}, ...content));
    if (role.options) fact("options", role.options);
    if (role.comment) fact("comment", role.comment);
    for (const setting of role.settings || []) fact("setting", setting);
    if (role.groups.length) fact("member of", ...joined(role.groups.map(edge)));
    if (role.members.length) fact("members", ...joined(role.members.map(edge)));
    const through = data.access ? data.access.roles.filter((one) => one.database_role === role.name).map((one) => one.name) : [];
    if (through.length) fact("roles of rolecall", through.join(", "));
    const inside = [facts];
    const lines = held(number).sort((a, b) => a[0] - b[0]);
    if (role.superuser) inside.push(make("p", {}, "Nothing is refused to a superuser."));
    if (lines.length) {
      const row = ([schema, text, why], place) => make("tr", {}, make("td", {}, place && lines[place - 1][0] === schema ? "" : schema < 0 ? "outside schemas" : schemas[schema].name), make("td", {}, text), make("td", {}, why || "directly"));
      inside.push(make("h3", {}, "Privileges"), make("table", {}, make("thead", {}, make("tr", {}, ...["schema", "what", "how"].map((word) => make("th", { scope: "col" }, word)))), make("tbody", {}, ...lines.map(row))));
    }
    if (role.defaults) inside.push(make("h3", {}, "Default privileges on what it makes"), make("ul", {}, ...role.defaults.map((text) => make("li", {}, texts[text]))));
    return inside;
  }
  const sections = roles.map((role, number) => {
    const what = [role.members.length && many(role.members.length, "member"), role.groups.length && `in ${role.groups.slice(0, WAYS_SHOWN).map(([group]) => roles[group].name).join(", ")}${role.groups.length > WAYS_SHOWN ? ", …" : ""}`].filter(Boolean);
    return folded(`role-${number}`, [make("b", {}, role.name), make("span", { className: `badge ${kind(role)}` }, kindWord(role)),
      make("span", { className: "what" }, what.join(" · "))], () => about(number));
  });
  byId("list").append(...sections);
  const openAll = (all, open) => all.forEach((section) => {
    if (section.classList.contains("gone")) return;
    if (open) fill(section);
    section.open = open;
  });
  byId("open").addEventListener("click", () => openAll(sections, true));
  byId("close").addEventListener("click", () => openAll(sections, false));
  addEventListener("beforeprint", () => openAll([...contents.keys()], true));

  // ---- What the extension holds, where it is installed
  function databaseLink(name) {
    const number = roles.findIndex((role) => role.name === name);
    return number < 0 ? name : link(number);
  }
  const searchAccess = data.access ? accessModel(data.access, { make, joined, many, folded, databaseLink }) : () => "";

  // ---- Graph: members on the left, groups to the right of all their members
  const connected = roles.map((_, number) => number).filter((number) => roles[number].groups.length || roles[number].members.length);
  const alone = roles.filter((role, number) => number && !role.groups.length && !role.members.length);
  if (alone.length) byId("alone").append("Without memberships: ", ...joined(alone.map((role) => link(roles.indexOf(role)))), ".");
  let chosen = null;
  function layers(shown) {
    const ranks = new Map();
    const rank = (number) => {
      if (!ranks.has(number)) {
        ranks.set(number, 0);
        const under = roles[number].members.filter(([member]) => shown.has(member)).map(([member]) => rank(member) + 1);
        ranks.set(number, Math.max(0, ...under));
      }
      return ranks.get(number);
    };
    const all = [];
    for (const number of shown) (all[rank(number)] ||= []).push(number);
    const place = new Map();
    const note = () => all.forEach((layer) => layer.forEach((number, index) => place.set(number, (index + 0.5) / layer.length)));
    note();
    // Each role goes to the middle of those it is joined to; a few sweeps untangle most of the lines.
    for (let sweep = 0; sweep < 8; sweep++) {
      for (const layer of sweep % 2 ? [...all].reverse() : all) {
        const middle = new Map(layer.map((number) => {
          const joinedTo = [...roles[number].groups, ...roles[number].members].map(([other]) => place.get(other)).filter((at) => at !== undefined);
          return [number, joinedTo.length ? joinedTo.reduce((sum, at) => sum + at, 0) / joinedTo.length : place.get(number)];
        }));
        layer.sort((a, b) => middle.get(a) - middle.get(b));
      }
      note();
    }
    return all;
  }
  const short = (name) => { const letters = [...name]; return letters.length > 26 ? letters.slice(0, 25).join("") + "…" : name; };
  function drawGraph() {
    let shown = new Set(connected);
    let around = null;
    if (chosen !== null) around = new Set([...reach(chosen, 0).keys(), ...reach(chosen, 0, "members").keys()]);
    if (connected.length > DRAWN) {
      // The widest group stands for all until one is chosen.
      const centre = chosen ?? connected.reduce((best, number) => roles[number].members.length > roles[best].members.length ? number : best);
      const near = [...reach(centre, 0).keys(), ...reach(centre, 0, "members").keys()];
      shown = new Set(near.slice(0, DRAWN));
      byId("selected").textContent = `${connected.length} roles have memberships; drawn are those around ${roles[centre].name}${near.length > DRAWN ? `, the nearest ${DRAWN}` : ""}. Search for another or select it in the list of roles.`;
    } else if (chosen !== null) {
      const up = [...reach(chosen, INHERIT).keys()].length - 1, down = [...reach(chosen, INHERIT, "members").keys()].length - 1;
      byId("selected").textContent = `${roles[chosen].name} inherits from ${many(up, "role")}; ${many(down, "role")} ${down === 1 ? "inherits" : "inherit"} from it.`;
    } else byId("selected").textContent = "";
    const drawing = byId("drawing");
    if (!shown.size) { drawing.replaceChildren(make("p", { className: "note" }, "No role is a member of another.")); return; }
    const WIDTH = 190, HEIGHT = 24, GAP = 110, STEP = 32, BESIDE = 20, TALL = 28;
    const all = layers(shown);
    const height = Math.min(TALL, Math.max(...all.map((layer) => layer.length))) * STEP + 20;
    const at = new Map();
    let left = 10;
    for (const layer of all) {
      // A layer too tall to be seen at once stands in several columns.
      const columns = Math.ceil(layer.length / TALL), tall = Math.ceil(layer.length / columns);
      const step = Math.min((height - 20) / tall, STEP * 3);
      const top = (height - step * tall) / 2;
      layer.forEach((number, index) => at.set(number, [left + (index % columns) * (WIDTH + BESIDE), top + step * (Math.floor(index / columns) + 0.5) - HEIGHT / 2]));
      left += columns * (WIDTH + BESIDE) - BESIDE + GAP;
    }
    const width = left - GAP + 10;
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Memberships" });
    svg.append(draw("defs", {}, draw("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" }, draw("path", { d: "M0 0L8 4L0 8z" }))));
    for (const number of shown) {
      for (const [group, options] of roles[number].groups) {
        if (!shown.has(group)) continue;
        const [x, y] = at.get(number), [gx, gy] = at.get(group);
        const from = [x + WIDTH, y + HEIGHT / 2], to = [gx, gy + HEIGHT / 2], bend = (to[0] - from[0]) / 2;
        const style = options & INHERIT ? "" : options & SET ? " set" : " none";
        const faded = around && !(around.has(number) && around.has(group)) ? " faded" : "";
        svg.append(draw("path", { class: `edge${style}${faded}`, d: `M${from} C${from[0] + bend},${from[1]} ${to[0] - bend},${to[1]} ${to}`, "marker-end": "url(#arrow)" }));
      }
    }
    for (const number of shown) {
      const [x, y] = at.get(number), role = roles[number];
      const label = draw("text", { x: x + 10, y: y + 16 }, short(role.name));
      const node = draw("g", { class: `node ${kind(role)}${number === chosen ? " chosen" : ""}${around && !around.has(number) ? " faded" : ""}`, tabindex: 0, role: "button", "aria-pressed": String(number === chosen), "aria-label": role.name, "data-role": number },
        draw("title", {}, `${role.name}: ${role.options}`), draw("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 5 }), label);
      svg.append(node);
    }
    drawing.replaceChildren(svg);
    if (chosen !== null && at.has(chosen)) drawing.scrollLeft = at.get(chosen)[0] - drawing.clientWidth / 3;
  }
  function choose(number) {
    chosen = chosen === number ? null : number;
    drawGraph();
    const node = chosen !== null && byId("drawing").querySelector(`[data-role="${chosen}"]`);
    if (node) node.focus({ preventScroll: true });
  }
  byId("drawing").addEventListener("click", (event) => { const node = event.target.closest(".node"); if (node) choose(Number(node.dataset.role)); });
  byId("drawing").addEventListener("keydown", (event) => {
    const node = event.target.closest(".node");
    if (node && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); choose(Number(node.dataset.role)); }
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") { hide(); if (chosen !== null) choose(chosen); }
    if (event.key === "/" && document.activeElement !== byId("query")) { event.preventDefault(); byId("query").focus(); }
  });
  byId("list").addEventListener("click", (event) => {
    const section = event.target.closest("summary")?.parentElement;
    if (section && connected.length > DRAWN) { chosen = sections.indexOf(section); if (connected.includes(chosen)) drawGraph(); }
  });
  drawGraph();

  // ---- Search: roles by name, or those that hold something in a schema of that name
  function search() {
    const wanted = byId("query").value.trim().toLowerCase();
    const matches = (name) => name.toLowerCase().includes(wanted);
    const inSchemas = new Set(schemas.map((_, number) => number).filter((number) => matches(schemas[number].name)));
    const named = roles.map((role) => matches(role.name));
    const byName = named.some(Boolean);
    const shown = roles.map((role, number) => !wanted || named[number] || (inSchemas.size > 0 && (role.cells || []).some(([schema]) => inSchemas.has(schema))));
    roles.forEach((_, number) => { for (const element of [rows[number], sections[number]]) element.classList.toggle("gone", !shown[number]); });
    const columns = schemas.map((_, number) => !wanted || !inSchemas.size || inSchemas.has(number));
    for (const row of table.rows) {
      if (row.cells.length === schemas.length + 1) for (let number = 0; number < schemas.length; number++) row.cells[number + 1].classList.toggle("gone", !columns[number]);
    }
    const findings = [...cards.querySelectorAll(".card")];
    for (const card of findings) {
      let left = 0;
      const title = matches(card.querySelector("h3 span").textContent);
      for (const item of card.querySelectorAll("li")) { const is = title || matches(item.textContent); item.classList.toggle("gone", !is); left += is; }
      card.classList.toggle("gone", !left);
    }
    if (connected.length > DRAWN) {
      const around = connected.find((number) => wanted && (byName ? named[number] : shown[number]));
      chosen = around ?? null;
      drawGraph();
    }
    for (const node of byId("drawing").querySelectorAll(".node")) if (chosen === null) node.classList.toggle("faded", Boolean(wanted) && !shown[node.dataset.role]);
    const reachable = table.querySelector('td[tabindex="0"]');
    const visible = [...table.querySelectorAll("td[data-role]")].find((cell) => cell.offsetParent);
    if (reachable && visible && !reachable.offsetParent) { reachable.tabIndex = -1; visible.tabIndex = 0; }
    const inAccess = searchAccess(matches, wanted);
    byId("matches").textContent = wanted ? `${many(shown.filter(Boolean).length, "role")}, ${many(inSchemas.size, "schema")}${inAccess}` : "";
  }
  byId("query").addEventListener("input", search);
  const target = byId(location.hash.slice(1));
  if (contents.has(target)) target.open = true;
})();
