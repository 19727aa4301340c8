"""Pictures made on the server: small SVG, with the numbers beside them as text."""

from moorage_web.render.bars import disk_bar as disk_bar
from moorage_web.render.bars import fit_bar as fit_bar
from moorage_web.render.bars import parts_bar as parts_bar
from moorage_web.render.bars import share_bar as share_bar
from moorage_web.render.hours import Span as Span
from moorage_web.render.hours import night_strip as night_strip
from moorage_web.render.sparkline import sparkline as sparkline
