"""The rules of prices in words, in the language of a page.

They stand as docstrings where each rule is, so that whoever changes one reads what it says. Here
they are once more, for translation alone: a test fails where one is missing, or no rule says it.
"""

from __future__ import annotations

from typing import Final

from django.utils import translation
from django.utils.translation import gettext_noop

RULES: Final = (
    gettext_noop(
        "A FLUX tool: by the megapixels of one input image, up to the top of its price range."
    ),
    gettext_noop(
        "A picture by its model; of the third generation by its style, which the answer may tell."
    ),
    gettext_noop("A picture, or each begun thirty frames of a video."),
    gettext_noop(
        "A price for each doubling of a picture, within the published range of its factor."
    ),
    gettext_noop("A price that depends on what is asked for."),
    gettext_noop("A transcript, by the length of the sound that comes along."),
    gettext_noop("A transcript, by the length of the sound, or by the end of its last word."),
    gettext_noop(
        "An amount for each picture that comes; for all that were asked where none can be counted."
    ),
    gettext_noop("As a rule says, but what the submit's coins say once they are told."),
    gettext_noop(
        "By model, quality and size for each picture that comes, and by those that are shown."
    ),
    gettext_noop("By the pictures that come; held for as many as may."),
    gettext_noop("By the seconds of the video, the size and the frame rate of what is delivered."),
    gettext_noop("By the seconds that were made."),
    gettext_noop(
        "By the tokens that Google reports; without a report, by those of the shortest clip."
    ),
    gettext_noop("By the tokens that the end reports."),
    gettext_noop("By tokens: those that Google reports, held for what the request can come to."),
    gettext_noop("By tokens: those that the vendor reports."),
    gettext_noop("By what the vendor reports: `usage.units`; at most `most_units` of the request."),
    gettext_noop(
        "FLUX 3 video: by second, resolution and mode; `auto` lets the model choose the length."
    ),
    gettext_noop(
        "FLUX.2: by output megapixels, and by reference images, counted when the vendor says."
    ),
    gettext_noop("Music for a video: by its length, as a line told it."),
    gettext_noop("Pictures by their tokens, of the oldest models by size and quality."),
    gettext_noop("Price a P-Image by quality, twice as much at 2K."),
    gettext_noop("Price a film by engine and seconds, held at the upper end of what is published."),
    gettext_noop("Price a film of LTX-2 by model, resolution and seconds."),
    gettext_noop("Price a film of LTX-2.5 alike."),
    gettext_noop("Price a film that is as long as its sound."),
    gettext_noop("Price a fitting."),
    gettext_noop(
        "Price a model by its kind; several views, materials and another count of faces are extra."
    ),
    gettext_noop(
        "Price a model by tier and addon, wherever in the form they may be understood to stand."
    ),
    gettext_noop("Price a new texture."),
    gettext_noop("Price a picture by its model."),
    gettext_noop("Price a picture by version, effort and enlargement."),
    gettext_noop("Price a picture by what it is guided by."),
    gettext_noop("Price a picture."),
    gettext_noop("Price a run, whatever the picture."),
    gettext_noop("Price a shape, or the texture of one that was made before."),
    gettext_noop("Price a sound effect by its length."),
    gettext_noop("Price a sound, always the same."),
    gettext_noop("Price a speaking picture by the seconds of its sound."),
    gettext_noop("Price a task of v2 by its type."),
    gettext_noop("Price a text by its bytes."),
    gettext_noop("Price a text by its characters."),
    gettext_noop("Price a transfer by resolution and the seconds of its video."),
    gettext_noop("Price a translation of a video by its seconds."),
    gettext_noop("Price a video by its model; Hailuo 02 by resolution and seconds."),
    gettext_noop(
        "Price a video by its seconds and those of its references, and by pictures beyond five."
    ),
    gettext_noop("Price a video by its seconds, at most those of the longest input."),
    gettext_noop("Price a video by its seconds."),
    gettext_noop("Price a video by model, mode, sound and seconds."),
    gettext_noop("Price a video by model, resolution and length."),
    gettext_noop("Price a video by model, resolution and seconds."),
    gettext_noop("Price a video by model, size and length, and by the pictures that are shown."),
    gettext_noop("Price a video by model, size and length."),
    gettext_noop("Price a video by model, size and seconds, and the seconds that it is made from."),
    gettext_noop("Price a video by quality, seconds and motion."),
    gettext_noop("Price a video by resolution and length."),
    gettext_noop("Price a video by resolution and the seconds of its source."),
    gettext_noop("Price a video of Kling 3.0 Turbo by resolution and seconds."),
    gettext_noop("Price a video of many frames: each way from one to the next as an extension."),
    gettext_noop("Price a video of subjects by model, resolution and seconds, and its sound."),
    gettext_noop("Price a video that always costs the same."),
    gettext_noop("Price a video that is made anew by its seconds."),
    gettext_noop("Price a voice."),
    gettext_noop(
        "Price a work by its type: a picture by model and references, a video by size and length."
    ),
    gettext_noop("Price all that is said in it."),
    gettext_noop(
        "Price an avatar of a photo or of a prompt; a digital twin needs somebody's consent."
    ),
    gettext_noop("Price an edit by the length of what is edited, which is that of what comes."),
    gettext_noop("Price an edit by the seconds of its video."),
    gettext_noop("Price an edit of a video by its seconds."),
    gettext_noop("Price an edit of one picture."),
    gettext_noop(
        "Price an effect on two people as a video of its model, one on a single picture by scene."
    ),
    gettext_noop("Price an enhanced prompt by how much there is to look at."),
    gettext_noop("Price an extension by the length of both parts."),
    gettext_noop("Price an omni video by its seconds; an edit makes as many as its video has."),
    gettext_noop("Price it alike; from an image there are two models more."),
    gettext_noop("Price omni pictures by resolution and number."),
    gettext_noop("Price one drawing by its model."),
    gettext_noop("Price one film by model, resolution, sound and seconds."),
    gettext_noop("Price one picture, always the same."),
    gettext_noop("Price one work, always the same."),
    gettext_noop(
        "Price pictures by model and number; v1-5 costs more where it begins with a picture."
    ),
    gettext_noop("Price the first two generations by model and number."),
    gettext_noop("Price the fourth by its speed."),
    gettext_noop("Price the movements of a video by its seconds: fewer where the picture leads."),
    gettext_noop("Price the pictures made, and those that are shown."),
    gettext_noop("Price the pictures that are made of one, by their number."),
    gettext_noop("Price the seconds of music."),
    gettext_noop(
        "Price the third by speed, number, and whether a character is shown, in whatever field."
    ),
    gettext_noop("Price what is added to a video by its seconds."),
    gettext_noop("So much for a second of speech, as the answer tells; held by the characters."),
    gettext_noop(
        "So much for each picture: held for all that are asked, charged for those that came."
    ),
    gettext_noop("So much for each started 8 megapixels of a picture that comes out."),
    gettext_noop("The same amount for every call, each of which makes one."),
    gettext_noop("The same amount for every call."),
    gettext_noop(
        "Video upscaling: by second of the video, which is as long as what comes out of it."
    ),
    gettext_noop("What is made of a sound that comes along, by its length."),
    gettext_noop(
        "What the vendor estimates of a film: held for the upper figure, charged by the lower."
    ),
)


def said(rule: str) -> str:
    """Return a rule in the language that is active; one that is not here, as it is."""
    return translation.gettext(rule) if rule in RULES else rule
