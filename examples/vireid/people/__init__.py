"""Rendered people: a visible-infrared data set that needs no real data."""

from vireid.people.camera import CAMERAS, INFRARED_CAMERAS, VISIBLE_CAMERAS, Camera
from vireid.people.config import RenderConfig
from vireid.people.dataset import render_dataset
from vireid.people.person import Person, draw_family, draw_person
from vireid.people.picture import Picture, render
from vireid.people.shapes import PARTS, Part
from vireid.people.sheet import contact_sheet

__all__ = [
    "CAMERAS",
    "INFRARED_CAMERAS",
    "PARTS",
    "VISIBLE_CAMERAS",
    "Camera",
    "Part",
    "Person",
    "Picture",
    "RenderConfig",
    "contact_sheet",
    "draw_family",
    "draw_person",
    "render",
    "render_dataset",
]
