// A chart is drawn from the table beside it: first column the day, one column for each series.
const root = document.documentElement;
function draw() {
    for (const chart of document.querySelectorAll("[data-chart]")) {
        const rows = [...chart.querySelectorAll("tbody tr")].map((tr) => [...tr.children].map((td) => td.dataset.value ?? td.textContent));
        const plot = chart.querySelector(".plot");
        const names = [...chart.querySelectorAll("thead th")].slice(1).map((th) => th.textContent);
        const colour = (token) => {
            const probe = document.createElement("span");
            probe.className = `dot ${token}`;
            chart.append(probe);
            const value = getComputedStyle(probe).backgroundColor;
            probe.remove();
            return value;
        };
        const style = (token) => {
            const probe = document.createElement("span");
            probe.className = token;
            chart.append(probe);
            const value = getComputedStyle(probe).color;
            probe.remove();
            return value;
        };
        const days = rows.map((row) => Date.parse(`${row[0]}T00:00Z`) / 1000);
        const parts = names.map((_, n) => rows.map((row) => Number(row[n + 1])));
        const stacked = parts.map((_, n) => days.map((_, day) => parts.slice(0, n + 1).reduce((sum, part) => sum + part[day], 0)));
        const font = `12px ${getComputedStyle(document.body).fontFamily}`;
        const at = chart.querySelector(".at");
        const idle = at.textContent;
        const axis = { stroke: style("faint"), font, ticks: { show: false } };
        const money = (value) => `$${value.toFixed(2)}`;
        const date = (seconds) => new Date(seconds * 1000).toLocaleDateString(root.lang === "en" ? "en-GB" : root.lang, { day: "numeric", month: "short", timeZone: "UTC" });
        plot.replaceChildren();
        new uPlot(
            {
                width: plot.clientWidth,
                height: plot.clientHeight,
                padding: [8, 14, 0, 0],
                legend: { show: false },
                cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
                tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
                scales: { x: { range: (_, min, max) => [min - 43200, max + 43200] }, y: { range: (_, __, max) => [0, max * 1.05] } },
                axes: [
                    { ...axis, size: 26, gap: 6, grid: { show: false }, space: 70, values: (_, ticks) => ticks.map(date) },
                    { ...axis, size: 44, space: 44, grid: { stroke: style("grid-line"), width: 1 }, values: (_, ticks) => ticks.map((tick) => `$${tick}`) },
                ],
                series: [
                    {},
                    ...names.map((label, n) => ({ label, fill: colour(`s${n + 1}`), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.68, 26] }) })).reverse(),
                ],
                hooks: {
                    setCursor: [
                        (u) => {
                            const day = u.cursor.idx;
                            if (day == null || u.cursor.left < 0) return void (at.textContent = idle);
                            const each = names.map((name, n) => [name, parts[n][day]]).filter(([, value]) => value > 0).map(([name, value]) => `${name} ${money(value)}`);
                            at.textContent = `${date(days[day])}: ${money(stacked.at(-1)[day])}. ${each.join(", ")}`;
                        },
                    ],
                },
            },
            [days, ...stacked.toReversed()],
            plot,
        );
    }
}
if (window.uPlot) {
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    document.fonts.ready.then(draw);
    // The place of a chart takes its width later than the page: what surrounds it moves there.
    const widths = new Map();
    const observer = new ResizeObserver((places) => {
        const changed = places.filter(({ target, contentRect }) => widths.get(target) !== contentRect.width);
        for (const { target, contentRect } of changed) widths.set(target, contentRect.width);
        if (changed.length) draw();
    });
    for (const plot of document.querySelectorAll("[data-chart] .plot")) observer.observe(plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
