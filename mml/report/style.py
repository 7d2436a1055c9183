"""The page's style sheet: light and dark, phone and desktop, and paper."""

from __future__ import annotations

from mml.report.names import GREY, PALETTE, deeper


def style_sheet() -> str:
    """All of it."""
    return _colours(0) + "@media (prefers-color-scheme: dark) {" + _colours(1) + "}" + _RULES


def _colours(mode: int) -> str:
    named = {"grey": GREY} | {f"m{place}": pair for place, pair in enumerate(PALETTE)}
    methods = "".join(f"--{name}:{of[mode]};--{name}-online:{deeper(of)[mode]};" for name, of in named.items())
    return f":root{{{_GROUND[mode]}{methods}}}\n"


_GROUND = (
    "color-scheme:light;--ground:#fff;--ink:#1c1c1e;--faint:#5c5c62;--rule:#dcdce0;--card:#f5f5f7;--accent:#0b63a5;",
    "color-scheme:dark;--ground:#161618;--ink:#ececee;--faint:#a9a9b0;--rule:#3a3a3f;--card:#222225;--accent:#63b1ee;",
)
_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:break-word}
header,main,footer{max-width:62rem;margin:0 auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.25;margin:1.5rem 0 .25rem}
h2{font-size:1.25rem;margin:2.75rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--rule)}
h3{font-size:1.05rem;margin:1.25rem 0 .5rem}
p{max-width:42rem;margin:.5rem 0}
a{color:var(--accent)}
a:focus-visible,[tabindex]:focus-visible,summary:focus-visible,
  textarea:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--ground);padding:.5rem}
.about,.small,.left-out,figcaption+.legend{color:var(--faint)}
.small{font-size:.9rem}
.lead{font-size:1.2rem;line-height:1.4}
.left-out{border-left:3px solid var(--rule);padding-left:.75rem}
nav ul{display:flex;flex-wrap:wrap;gap:.1rem 1rem;list-style:none;padding:0;margin:1rem 0 0}
nav a{display:inline-block;padding:.3rem 0}
.scroll{overflow-x:auto;margin:1rem 0;max-width:100%}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding-bottom:.35rem}
th,td{padding:.3rem .9rem .3rem 0;text-align:right;vertical-align:top;border-bottom:1px solid var(--rule);
  white-space:nowrap}
th:first-child{text-align:left;font-weight:400;white-space:normal;min-width:6.5rem}
thead th{color:var(--faint);font-weight:600;vertical-align:bottom}
thead th:first-child{font-weight:600}
.card td:nth-child(2),.card th:nth-child(2){text-align:left;white-space:normal}
.card th:first-child{min-width:2.5rem}
.best,.badge{font-size:.75rem;border:1px solid currentColor;border-radius:1rem;padding:0 .45rem;color:var(--accent);
  white-space:nowrap}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr));gap:1.5rem;align-items:start}
figure{margin:1rem 0;max-width:30rem;min-width:0}
figcaption{font-weight:600}
svg{display:block;width:100%;height:auto;font-size:12.5px;fill:var(--ink);overflow:visible}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .mark{stroke:var(--ink);stroke-dasharray:4 3}
svg .error{stroke:var(--ink);stroke-width:1.2}
svg .line{fill:none;stroke-width:2}
svg .axis{fill:var(--faint)}
svg .value{font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:0 .9rem;list-style:none;padding:0;margin:.25rem 0;font-size:.9rem}
.legend svg{display:inline-block;width:2.04em;height:.85em;margin-right:.35em;vertical-align:-.05em}
details{margin:.25rem 0;font-size:.9rem}
summary{cursor:pointer;color:var(--faint);padding:.3rem 0}
.card{background:var(--card);border-radius:.6rem;padding:.1rem 1rem .75rem;margin:1rem 0}
.items{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr));gap:.35rem 2.25rem;
  padding-left:1.6rem;margin:.5rem 0}
.item{display:inline-flex;gap:.5rem;align-items:center;min-width:0}
.card table .item{min-width:9rem}
.item img{border-radius:.3rem;object-fit:contain;background:#fff;flex:none}
textarea{display:block;width:100%;margin-top:.35rem;font:13px/1.45 ui-monospace,monospace;white-space:pre;
  overflow-x:auto;background:var(--card);color:var(--ink);border:1px solid var(--rule);
  border-radius:.4rem;padding:.6rem}
code{font:.92em ui-monospace,monospace;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.35rem 1.25rem;margin:.75rem 0}
dt{font-weight:600}
dd{margin:0;max-width:42rem}
footer{margin:3rem auto 2rem;color:var(--faint);font-size:.9rem}
@media (max-width:30rem){th,td{padding-right:.6rem}table{font-size:.85rem}.card{padding:.1rem .75rem .75rem}
.card table .item{min-width:6.5rem}.card th:first-child{min-width:0}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.6rem}}
@media print{.scroll{overflow:visible}nav,.skip{display:none}.card,figure{break-inside:avoid}}
"""
