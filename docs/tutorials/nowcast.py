# %% [markdown]
# # Nowcast a radar folder
#
# A folder of radar maps becomes a forecast of the next hour on the maps' own grid. What `mslstm` reads of KNMI, DWD, EUMETNET OPERA,
# FMI, MeteoSwiss, NOAA and BoM, as it is downloaded: [radar](../radar.md). The maps of this page are synthetic: a few showers that
# move to the north-east and fade, written as a service would write them (ODIM HDF5). Put your own folder in their place.

# %%
from pathlib import Path

import h5py
import numpy as np
import pyproj
from IPython.display import Image

height, width, pixel, maps = 128, 144, 1000.0, 8
projection = "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +units=m +ellps=WGS84"
corners = {}
for corner, column, row in (("LL", 0, -height), ("UL", 0, 0), ("UR", width, 0), ("LR", width, -height)):
    place = pyproj.Proj(projection)(column * pixel, row * pixel, inverse=True)
    corners[f"{corner}_lon"], corners[f"{corner}_lat"] = place
rows, columns = np.mgrid[:height, :width]
showers = np.random.default_rng(2).uniform(
    (70, 10, 4, 5), (125, 110, 11, 30), (12, 4)
)  # row, column, size, mm/h
Path("maps").mkdir()
for number in range(maps):
    rain = sum(
        peak
        * np.exp(-((rows - row + 2 * number) ** 2 + (columns - column - 3 * number) ** 2) / (2 * size**2))
        for row, column, size, peak in showers
    )
    time = np.datetime64("2024-05-01T12:00", "s") + 300 * number
    date, clock = f"{time.item():%Y%m%d}", f"{time.item():%H%M%S}"
    with h5py.File(f"maps/rain_{date}{clock[:4]}.h5", "w") as file:
        what = {"object": "COMP", "source": "ORG:247", "date": date, "time": clock}
        where = {
            "projdef": projection,
            "xsize": width,
            "ysize": height,
            "xscale": pixel,
            "yscale": pixel,
            **corners,
        }
        times = {"product": "COMP", "startdate": date, "starttime": clock, "enddate": date, "endtime": clock}
        codes = {"quantity": "RATE", "gain": 0.1, "offset": 0.0, "nodata": 65535.0, "undetect": 0.0}
        groups = {"what": what, "where": where, "dataset1/what": times, "dataset1/data1/what": codes}
        for group, attributes in groups.items():
            for name, value in attributes.items():
                file.require_group(group).attrs[name] = np.bytes_(value) if isinstance(value, str) else value
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_4")
        file["dataset1/data1/data"] = np.round(rain / 0.1).astype("uint16")
sorted(path.name for path in Path("maps").iterdir())

# %% [markdown]
# One command reads them in the order of time, takes the last six, and draws what comes. What is assumed, missing or doubled is said.

# %%
# !mslstm forecast --model ms_lstm_radar --input maps/ --output forecast.png

# %%
Image("forecast.png")

# %% [markdown]
# `.nc` holds rates in mm/h with times, projection and the names of the CF conventions; `.tif` is for QGIS, `.html` a page with a
# slider. `--watch maps/` in place of `--input maps/` forecasts whenever a new map comes.

# %%
# !mslstm forecast --model ms_lstm_radar --input maps/ --output forecast.nc

# %% [markdown]
# ## In Python

# %%
import mslstm_keras as ms

rain = ms.read_radar("maps/").rain_rate  # xarray, mm/h
model = ms.load_pretrained("ms_lstm_radar")
scale = ms.zoo.data_of("ms_lstm_radar").scale  # how its pixels stand for mm/h
future = ms.forecast(model, rain, scale=scale)
future

# %% [markdown]
# ## How good it is
#
# `mslstm evaluate --input` forecasts from every time of an archive and scores each lead time beside persistence and, with the extra
# `nowcast`, optical flow. Eight maps are no archive; the scores of real events are in [radar](../radar.md#a-model-of-rain).
