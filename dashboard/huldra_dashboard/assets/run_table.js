// A table of artifacts whose order is the server's. All text is set as text: nothing is markup.
function make(tag, className, text) {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (text !== undefined && text !== null) made.textContent = String(text)
  return made
}

function heading(column, send) {
  const th = make("th", column.kind)
  th.scope = "col"
  const head = make(column.sortable ? "button" : "span", "head")
  head.append(make("span", "label", column.label))
  if (column.note) head.append(make("span", "kind", column.note))
  const order = { asc: "ascending", desc: "descending" }[column.sort]
  if (column.sortable) {
    th.setAttribute("aria-sort", order || "none")
    head.type = "button"
    head.title = column.help || `Sort by ${column.label}`
    head.append(make("span", "arrow", { asc: "▲", desc: "▼" }[column.sort] || ""))
    head.onclick = event => { event.stopPropagation(); send({ kind: "sort", column: column.id }) }
  }
  th.append(head)
  return th
}

function cell(column, value, row, data, send) {
  const td = make("td", column.kind)
  if (column.kind === "name") {
    const link = make("a", "name", value.name)
    link.dataset.row = row.id
    link.title = value.name
    const url = new URL(window.location.href)
    url.searchParams.set(data.parameter, row.id)
    link.href = url.href
    link.onclick = event => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return
      event.preventDefault()
      event.stopPropagation()
      send({ kind: "open", row: row.id })
    }
    td.append(link)
    if (value.sub) td.append(make("span", "sub", value.sub))
  } else if (column.kind === "status") {
    const status = make("span", "state")
    const dot = make("span", "dot")
    dot.style.background = value.color
    status.append(dot, make("span", "", value.word))
    if (value.note) status.title = value.note
    td.append(status)
  } else if (column.kind === "cut") {
    const bar = make("div", "cut")
    bar.setAttribute("role", "img")
    bar.setAttribute("aria-label", value.label)
    bar.title = value.label
    for (const part of value.parts) {
      const piece = make("span")
      piece.style.background = part.color
      piece.style.flex = String(part.count)
      bar.append(piece)
    }
    td.append(bar)
  } else {
    const plain = value === null || typeof value !== "object" ? { text: value } : value
    td.append(make("span", "", plain.text ?? ""))
    if (plain.best) td.classList.add("best")
    if (plain.note) td.title = plain.note
    else if (column.kind === "text" && plain.text) td.title = String(plain.text)
    if (typeof plain.bar === "number") {
      const bar = make("div", "bar")
      bar.style.width = `${Math.round(100 * plain.bar)}%`
      td.append(bar)
    }
  }
  return td
}

function ticker(checked, label, onTick) {
  const box = make("input")
  box.type = "checkbox"
  box.checked = checked
  box.setAttribute("aria-label", label)
  box.onclick = event => { event.stopPropagation(); onTick(box.checked) }
  return box
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector("#root")
  if (!root || !data) return
  let serial = 0
  const send = event => setTriggerValue("event", { ...event, serial: ++serial })
  const active = parentElement.activeElement
  const focused = active && active.dataset ? active.dataset.row : undefined
  const left = root.querySelector(".frame") ? root.querySelector(".frame").scrollLeft : 0
  const chosen = new Set(data.chosen)
  const table = make("table")
  table.setAttribute("aria-label", data.caption)
  table.setAttribute("aria-rowcount", String(data.total))
  const heads = make("tr")
  if (data.ticks) {
    const th = make("th", "tick")
    const ids = data.rows.map(row => row.id)
    const all = ids.length > 0 && ids.every(id => chosen.has(id))
    th.append(ticker(all, "Tick all of this page", on => send({ kind: "tick", rows: ids, on })))
    heads.append(th)
  }
  for (const column of data.columns) heads.append(heading(column, send))
  const head = make("thead")
  head.append(heads)
  const body = make("tbody")
  for (const row of data.rows) {
    const tr = make("tr", chosen.has(row.id) ? "chosen" : "")
    tr.onclick = event => {
      const selected = String(window.getSelection())
      if (!selected && !event.target.closest("input, .tick")) send({ kind: "open", row: row.id })
    }
    if (data.ticks) {
      const td = make("td", "tick")
      td.append(ticker(chosen.has(row.id), `Tick ${row.label}`, on => {
        tr.classList.toggle("chosen", on)
        send({ kind: "tick", rows: [row.id], on })
      }))
      tr.append(td)
    }
    data.columns.forEach((column, index) => tr.append(cell(column, row.cells[index], row, data, send)))
    body.append(tr)
  }
  table.append(head, body)
  table.onkeydown = event => {
    const links = [...table.querySelectorAll("a.name")]
    const at = links.indexOf(event.target)
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key]
    if (at >= 0 && next !== undefined && links[next]) {
      event.preventDefault()
      links[next].focus()
    }
  }
  const frame = make("div", "frame")
  frame.append(table)
  root.replaceChildren(frame)
  frame.scrollLeft = left
  if (focused) {
    const again = [...table.querySelectorAll("a.name")].find(link => link.dataset.row === focused)
    if (again) again.focus()
  }
}
