
// What the extension holds: its roles, what they may do with which rows, and queues of work. Returns how to search it.
function accessModel(model, { make, joined, many, folded, databaseLink }) {
  const { roles, tables, queues } = model;
  const section = make("section", { id: "access" }, make("h2", {}, "Access model of rolecall"));
  document.querySelector("main").append(section);
  document.querySelector("nav").append(make("a", { href: "#access" }, "Access model"));
  if (model.unread) {
    section.append(make("p", { className: "note" }, model.unread));
    return () => "";
  }
  document.getElementById("query").placeholder = "a role, schema, table, scope or work queue  ( / )";
  for (const role of roles) role.members = [];
  roles.forEach((role, number) => role.groups.forEach((group) => roles[group].members.push(number)));
  tables.forEach((table, number) => { table.number = number; });

  const badge = (text, style = "") => make("span", { className: `badge ${style}` }, text);
  const code = (text) => make("code", {}, text);
  function link(kind, number, name) {
    const anchor = make("a", { href: `#${kind}-${number}` }, name);
    anchor.addEventListener("click", () => { document.getElementById(`${kind}-${number}`).open = true; });
    return anchor;
  }
  const roleLink = (number) => link("rolecall-role", number, roles[number].name);
  const tableLink = (table) => link("rolecall-table", table.number, table.name);
  const grid = (heads, lines) => make("table", { className: "rules" },
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...lines.map((line) => make("tr", {}, ...line.map((cell) => make("td", {}, ...[cell].flat()))))));
  const terms = (rule) => [rule.actions, rule.rows === "all" ? "all" : code(rule.rows), rule.with.map((text) => make("div", {}, code(text)))];
  function facts(all) {
    const list = make("dl");
    for (const [name, ...content] of all) if (content.some(Boolean)) list.append(make("dt", {}, name), make("dd", {}, ...content.filter(Boolean)));
    return list;
  }
  // Every role that one holds by holding this one, with the way there; what every session holds comes last.
  function held(start) {
    const ways = new Map([[start, "directly"]]);
    const follow = () => {
      for (const [number, way] of ways) {
        for (const group of roles[number].groups) {
          if (!ways.has(group)) ways.set(group, `${number === start ? "through" : `${way} →`} ${roles[group].name}`);
        }
      }
    };
    follow();
    const everybody = roles.findIndex((role) => role.everybody);
    if (everybody >= 0 && !ways.has(everybody)) {
      ways.set(everybody, `through ${roles[everybody].name}`);
      follow();
    }
    return ways;
  }

  function aboutRole(number) {
    const role = roles[number], ways = held(number);
    const scopes = [...ways].flatMap(([holder, way]) => roles[holder].scopes.map((scope) => holder === number ? scope : `${scope} (${way})`));
    const rules = tables.flatMap((table) => [...ways].flatMap(([holder, way]) =>
      table.rules.filter((rule) => rule.role === holder).map((rule) => [tableLink(table), ...terms(rule), way])));
    const content = [facts([["held by", role.users], ["database role", role.database_role && databaseLink(role.database_role)], ["server", role.server],
      ["member of", ...joined(role.groups.map(roleLink))], ["members", ...joined(role.members.map(roleLink))], ["scopes", scopes.join(", ")],
      ["work queues", queues.filter((queue) => queue.pool === number).map((queue) => queue.name).join(", ")]])];
    if (rules.length) content.push(make("h3", {}, "Permissions"), grid(["table", "may", "rows", "with", "how"], rules));
    return content;
  }
  function aboutTable(table) {
    const content = table.notes.length ? [make("ul", {}, ...table.notes.map((note) => make("li", {}, note)))] : [];
    if (table.rules.length) content.push(grid(["role", "may", "rows", "with"], table.rules.map((rule) => [roleLink(rule.role), ...terms(rule)])));
    else if (table.protected) content.push(make("p", {}, `No permission: nobody but administrators gets at its rows${table.acl_column ? ", unless a row's ACL says so" : ""}.`));
    return content;
  }

  // Each thing with the words that find it.
  const found = [];
  function findable(element, ...words) {
    found.push([element, words.filter(Boolean)]);
    return element;
  }
  const roleSections = roles.map((role, number) => {
    const own = tables.filter((table) => table.rules.some((rule) => rule.role === number)).map((table) => table.name);
    const summary = [make("b", {}, role.name), role.everybody && badge("everybody"), role.built_in && badge("built in"), role.pool && badge("pool", "login"),
      make("span", { className: "what" }, [role.description, role.users].filter(Boolean).join(" · "))];
    return findable(folded(`rolecall-role-${number}`, summary.filter(Boolean), () => aboutRole(number)),
      role.name, role.description, role.database_role, role.server, ...role.scopes, ...own);
  });
  const tableSections = tables.map((table) => {
    const holders = [...new Set(table.rules.map((rule) => roles[rule.role].name))];
    const summary = [make("b", {}, table.name), !table.protected && badge("not protected", "super"), table.acl_column && badge(`ACLs in ${table.acl_column}`),
      make("span", { className: "what" }, holders.join(", "))];
    return findable(folded(`rolecall-table-${table.number}`, summary.filter(Boolean), () => aboutTable(table)), table.name, table.acl_column, ...holders);
  });
  section.append(
    make("p", { className: "note" }, "Roles of the extension are not database roles: users and members of their database role hold them. Whoever holds one may do what any of its rules allows, as far as the privileges of the login go; every session also holds what everybody has, every user what users has, and admins may do everything."),
    make("h3", {}, "Roles"), ...roleSections,
    make("h3", {}, "Tables"), ...(tableSections.length ? tableSections : [make("p", {}, "No table is protected.")]));
  if (queues.length) {
    const list = grid(["work queue", "pool", "runs", "notes"], queues.map((queue) => [queue.name, roleLink(queue.pool), String(queue.runs), queue.notes]));
    queues.forEach((queue, number) => findable(list.tBodies[0].rows[number], queue.name, roles[queue.pool].name));
    section.append(make("h3", {}, "Work queues"), make("div", { className: "inside" }, list));
  }
  return (matches, wanted) => {
    let count = 0;
    for (const [element, words] of found) {
      const is = !wanted || words.some(matches);
      element.classList.toggle("gone", !is);
      count += is;
    }
    return wanted ? `, ${many(count, "match", "matches")} in rolecall` : "";
  };
}
