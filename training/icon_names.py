"""Names of the things in icon sets: from Unicode, or written by hand for old sets."""

from __future__ import annotations

from training.words import Thing

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "american football": ("americanfootball",),
    "apple": ("redapple",),
    "alarm clock": ("alarmclock",),
    "backpack": ("school-backpack", "schoolsatchel"),
    "basketball": ("basketballandhoop",),
    "bear": ("bear-face",),
    "beer mug": ("beermug",),
    "bell pepper": ("bellpepper",),
    "billiard ball": ("billiards",),
    "birthday cake": ("birthdaycake",),
    "camel": ("dromedarycamel",),
    "castle": ("europeancastle",),
    "chick": ("babychick",),
    "chicken leg": ("poultryleg",),
    "chili pepper": ("chilipepper",),
    "chocolate bar": ("chocolatebar",),
    "corn": ("earofmaize",),
    "couch": ("couch-and-lamp",),
    "cup of coffee": ("hotbeverage",),
    "dartboard": ("direct-hit", "directhit"),
    "dice": ("game-die", "game-dice", "gamedie"),
    "ferris wheel": ("ferriswheel",),
    "fire engine": ("fireengine",),
    "fox": ("fox-face",),
    "french fries": ("frenchfries",),
    "fried egg": ("cooking",),
    "frog": ("frog-face",),
    "game controller": ("video-game", "videogame"),
    "gem": ("gem-stone",),
    "gift": ("wrapped-gift",),
    "globe": ("europeafricaglobe",),
    "high-heeled shoe": ("heels",),
    "house": ("housebuilding", "house-with-garden"),
    "ice cream": ("soft-ice-cream", "softicecream"),
    "jack-o-lantern": ("jackolantern",),
    "kitchen knife": ("hocho",),
    "ladybug": ("lady-beetle", "ladybeetle"),
    "laptop": ("laptop-computer", "personalcomputer"),
    "light bulb": ("lightbulb",),
    "lion": ("lion-face",),
    "magnifying glass": ("leftmagnifyingglass",),
    "maple leaf": ("mapleleaf",),
    "noodles": ("steaming-bowl", "steamingbowl"),
    "palette": ("artist-palette", "artistpalette"),
    "palm tree": ("palmtree",),
    "panda": ("panda-face", "pandaface"),
    "pine tree": ("evergreen",),
    "pizza": ("sliceofpizza",),
    "police car": ("policecar",),
    "scissors": ("blackscissors",),
    "seashell": ("spiral-shell", "spiralshell"),
    "snowman": ("snowmanwithoutsnow",),
    "soccer ball": ("soccerball",),
    "steam locomotive": ("steamlocomotive",),
    "sun": ("sunrays",),
    "telephone": ("blacktelephone",),
    "top hat": ("tophat",),
    "traffic light": ("verticaltrafficlight",),
    "tree": ("deciduoustree",),
    "tropical fish": ("tropicalfish",),
    "truck": ("deliverytruck",),
    "unicorn": ("unicorn-face",),
    "whale": ("spouting-whale",),
    "wine glass": ("wineglass",),
}
"""Names that neither Unicode nor `training.words` gives, by the name of the thing."""


def icon_names(thing: Thing, unicode_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return all names that a set may use for a thing, best first.

    Args:
        thing: The thing.
        unicode_names: Names of its code points in sets that list them.
    """
    plain = [word.replace(" ", "-") for word in (thing.name, *thing.synonyms)]
    names = dict.fromkeys((*unicode_names, *OTHER_NAMES.get(thing.name, ()), *plain))
    return (*names, *(f"{name}-1" for name in names))  # some sets number several drawings
