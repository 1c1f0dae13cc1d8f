"""The user's cache folder, under its former name."""

from ratedistortion.files import cache_folder

__all__ = ["cache_folder"]
