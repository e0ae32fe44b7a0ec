"""A package index over the folder."""

import pypiserver

app = pypiserver.app(roots=["packages"], password_file=".", authenticate=[])
