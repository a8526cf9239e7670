"""Rendered people: a visible-infrared data set with no data at hand."""

from vireid.render.attributes import ATTRIBUTES, NOT_APPLICABLE, attribute_targets
from vireid.render.camera import CAMERAS, INFRARED_CAMERAS, VISIBLE_CAMERAS, Camera
from vireid.render.config import RenderConfig
from vireid.render.dataset import render_dataset
from vireid.render.person import Person, draw_family, draw_person
from vireid.render.picture import Picture, render
from vireid.render.shapes import PARTS, Part
from vireid.render.sheet import contact_sheet

__all__ = [
    "ATTRIBUTES",
    "CAMERAS",
    "INFRARED_CAMERAS",
    "NOT_APPLICABLE",
    "PARTS",
    "VISIBLE_CAMERAS",
    "Camera",
    "Part",
    "Person",
    "Picture",
    "RenderConfig",
    "attribute_targets",
    "contact_sheet",
    "draw_family",
    "draw_person",
    "render",
    "render_dataset",
]
