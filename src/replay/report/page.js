/* SPDX-License-Identifier: MIT */
/* Shows what is below the pointer. Everything else works without. */
'use strict';
(() => {
  const timeline = JSON.parse(document.getElementById('timeline').textContent);
  const tip = document.getElementById('tip');
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const cursors = [];

  const count = (n) => n.toLocaleString('en-US');

  function size(n) {
    let unit = 0;
    while (n !== 0 && n % 1024 === 0 && unit < 6) {
      n /= 1024;
      unit++;
    }
    return n + ' KMGTPE'[unit].trim();
  }

  const levels = [
    (c) => 'plugged ' + size(c[3]),
    (c) => 'requested ' + size(c[4]),
    (c) => 'pinned ' + size(c[5]),
    (c) => 'mappings ' + count(c[6]),
  ];

  /* A row is a list of runs: six digits, and two for the number of columns. */
  function cellAt(row, column) {
    for (let at = 0; at < row.length; at += 8) {
      const values = [...row.slice(at, at + 8)].map((digit) => digits.indexOf(digit));
      column -= values[6] * 64 + values[7];
      if (column < 0)
        return values;
    }
    return [0, 0, 0, 0, 0, 0];
  }

  const atMost = (n, noun) => (n === 63 ? '63 or more' : n) + ' ' + noun + (n === 1 ? '' : 's');
  const share = (n) => (n === 63 ? 'all' : 'about ' + Math.max(1, Math.round(n / 63 * 100)) + '%');

  function describeCell(region, y, column) {
    const n = region.cells.length;
    const row = Math.min(n - 1, Math.floor((1 - y) * n));
    const cell = cellAt(region.cells[row], column);
    const names = ['plugged, mapped', 'plugged, not mapped', 'plugged, private', 'in quarantine'];
    const lines = names.map((name, i) => cell[i] ? name + ': ' + share(cell[i]) : '').filter(Boolean);
    if (lines.length === 0)
      lines.push('unplugged');
    if (cell[4])
      lines.push(atMost(cell[4], 'refused request'));
    if (cell[5])
      lines.push(atMost(cell[5], 'page') + ' checked by DMA');
    lines.unshift(region.rows[row] + ' to ' + region.rows[row + 1]);
    return lines;
  }

  function describeColumn(column) {
    const last = column[0] + column[1];
    const lines = [column[1] === 1 ? 'event ' + count(last) : 'events ' + count(column[0] + 1) + ' to ' + count(last)];
    if (column[2])
      lines.push(atMost(column[2], 'refused request'));
    return lines;
  }

  function describe(plot, x, y) {
    const index = Math.min(timeline.columns - 1, Math.floor(x * timeline.columns));
    const column = timeline.events[index];
    if (!column)
      return ['not replayed'];
    const lines = describeColumn(column);
    if (plot.region !== undefined)
      return lines.concat(describeCell(timeline.regions[plot.region], y, index));
    return lines.concat(plot.levels.map((level) => levels[level](column)));
  }

  function show(event, plot) {
    const box = plot.ground.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    if (x < 0 || x >= 1 || y < 0 || y >= 1)
      return hide();
    tip.textContent = describe(plot, x, y).join('\n');
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18 + tip.offsetHeight < innerHeight;
    tip.style.left = Math.max(8, left) + 'px';
    tip.style.top = (below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 12) + 'px';
    for (const cursor of cursors) {
      cursor.setAttribute('x1', x * 100 + '%');
      cursor.setAttribute('x2', x * 100 + '%');
      cursor.removeAttribute('visibility');
    }
  }

  function hide() {
    tip.hidden = true;
    for (const cursor of cursors)
      cursor.setAttribute('visibility', 'hidden');
  }

  for (const figure of document.querySelectorAll('figure[data-region], figure[data-levels]')) {
    const svg = figure.querySelector('svg.plot');
    const cursor = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    const plot = {
      ground: svg.querySelector('rect.ground'),
      region: figure.dataset.region,
      levels: (figure.dataset.levels || '').split(' '),
    };
    cursor.setAttribute('class', 'cursor');
    cursor.setAttribute('y2', '100%');
    svg.append(cursor);
    cursors.push(cursor);
    svg.addEventListener('pointermove', (event) => show(event, plot));
    svg.addEventListener('pointerdown', (event) => show(event, plot));
    svg.addEventListener('pointerleave', hide);
  }
  hide();
})();
