"""Radar maps in the formats of weather services, small and made up, as the tests write them."""

import io
import struct

import h5py
import numpy as np
from PIL import Image

LAEA = "+proj=laea +lat_0=55.0 +lon_0=10.0 +x_0=1950000.0 +y_0=-2100000.0 +units=m +ellps=WGS84"
STERE = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +x_0=0 +y_0=0 +R=6370040 +units=m +no_defs"
STERE_MAPPING = {
    "grid_mapping_name": "polar_stereographic",
    "straight_vertical_longitude_from_pole": 10.0,
    "latitude_of_projection_origin": 90.0,
    "standard_parallel": 60.0,
    "false_easting": 0.0,
    "false_northing": 0.0,
    "semi_major_axis": 6370040.0,
    "semi_minor_axis": 6370040.0,
}
"""`STERE` as the CF conventions describe it."""

KNMI_PROJECTION = "+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378.137 +b=6356.752 +x_0=0 y_0=0"


def codes(number, size, highest=200):
    """Returns the pixels of map `number`, uint16, dry in the upper quarter."""
    values = np.random.default_rng(number).integers(1, highest, size, dtype=np.uint16)
    values[: size[0] // 4] = 0
    return values


def stamps(first, count, minutes=5):
    """Returns `count` times, datetime64[s]."""
    return np.datetime64(first, "s") + np.arange(count) * np.timedelta64(60 * minutes, "s")


def digits(time, form="%Y%m%d%H%M"):
    """Returns a time as a name tells it."""
    return f"{time.astype('datetime64[s]').item():{form}}"


def write_knmi(path, time, values, minutes=5, /, **changes):
    """Writes a KNMI file; `changes` replace attributes of the same name, None leaves one out."""
    start = time - np.timedelta64(minutes, "m")
    attributes = {
        "overview": {
            "product_datetime_start": np.bytes_(digits(start, "%d-%b-%Y;%H:%M:%S.000").upper()),
            "product_datetime_end": np.bytes_(digits(time, "%d-%b-%Y;%H:%M:%S.000").upper()),
        },
        "geographic": {
            "geo_column_offset": np.array([0.0], "f4"),
            "geo_row_offset": np.array([3650.0], "f4"),
            "geo_pixel_size_x": np.array([1.0], "f4"),
            "geo_pixel_size_y": np.array([-1.0], "f4"),
            "geo_number_columns": np.array([values.shape[1]]),
            "geo_number_rows": np.array([values.shape[0]]),
            "geo_dim_pixel": np.bytes_("KM,KM"),
        },
        "geographic/map_projection": {"projection_proj4_params": np.bytes_(KNMI_PROJECTION)},
        "image1": {
            "image_geo_parameter": np.bytes_("ACCUMULATED_PRECIPITATION_[MM]"),
            "image_product_name": np.bytes_("RAD_NL25_RAP_5min"),
        },
        "image1/calibration": {
            "calibration_formulas": np.bytes_("GEO=0.01*PV+0.0"),
            "calibration_missing_data": np.array([65535]),
            "calibration_out_of_image": np.array([65535]),
        },
    }
    with h5py.File(path, "w") as file:
        for group, names in attributes.items():
            for name, value in names.items():
                if (value := changes.get(name, value)) is not None:
                    file.require_group(group).attrs[name] = value
        file["image1"].create_dataset("image_data", data=values, compression="gzip")
    return path


def write_knmi_maps(folder, count, size):
    """Writes `count` maps of `size`, (height, width), 5 minutes apart, into a new folder, which is returned."""
    folder.mkdir()
    for number, time in enumerate(stamps("2010-08-26T00:00", count)):
        write_knmi(folder / f"RAD_{digits(time)}.h5", time, codes(number, size))
    return folder


def write_odim(
    path,
    time,
    values,
    quantity="RATE",
    /,
    *,
    minutes=5,
    service="ORG:247",
    projection=LAEA,
    pixel=2000.0,
    place="dataset1/data1",
    what_of="dataset1/data1",
    text=np.bytes_,
    **changes,
):
    """Writes an ODIM file of one map.

    `place` is the group of the data, `what_of` the one whose `what` says gain, offset, codes and quantity. Texts are
    written as `text`, `np.bytes_` or `str`. `changes` are attributes of any `what` by their name; None leaves one out.
    """
    import pyproj

    height, width = values.shape
    to_place = pyproj.Proj(projection)
    corners = {"LL": (0, -height), "UL": (0, 0), "UR": (width, 0), "LR": (width, -height)}
    start = time - np.timedelta64(minutes, "m")
    code = {
        "quantity": text(quantity),
        "gain": 0.1,
        "offset": 0.0,
        "nodata": 65535.0,
        "undetect": 0.0,
    }
    spoken = {
        "product": text("COMP"),
        "startdate": text(digits(start, "%Y%m%d")),
        "starttime": text(digits(start, "%H%M%S")),
        "enddate": text(digits(time, "%Y%m%d")),
        "endtime": text(digits(time, "%H%M%S")),
    }
    root = {
        "object": text("COMP"),
        "source": text(service),
        "date": text(digits(time, "%Y%m%d")),
        "time": text(digits(time, "%H%M%S")),
    }
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = text("ODIM_H5/V2_4")
        file.create_dataset(f"{place}/data", data=values, compression="gzip")
        dataset = place.partition("/")[0]
        for group, names in ((what_of, code), (dataset, spoken), ("/", root)):
            for name, value in {**names, **{key: changes[key] for key in changes if key in names}}.items():
                if value is not None:
                    file.require_group(f"{group}/what").attrs[name] = value
        extra = set(changes) - {*code, *spoken, *root}
        for name in extra:
            file.require_group(f"{dataset}/what").attrs[name] = changes[name]
        where = file.create_group("where").attrs
        where["projdef"] = text(projection)
        where["xscale"] = where["yscale"] = pixel
        where["xsize"], where["ysize"] = width, height
        for corner, (column, row) in corners.items():
            where[f"{corner}_lon"], where[f"{corner}_lat"] = to_place(
                column * pixel, row * pixel, inverse=True
            )
    return path


def radolan(time, values, *, product="RY", precision="E-02", minutes=5, extra="", version=3):
    """Returns the content of a RADOLAN file, its rows from south to north."""
    rows, columns = values.shape
    header = (
        f"{product}{digits(time, '%d%H%M')}10000{digits(time, '%m%y')}BY{{size:>7}}VS{version:>2}SW   2.21.0"
        f"PR {precision}INT{minutes:>4}GP{rows:>4}x{columns:>4}{extra}MS 10<boo,ros> "
    )
    body = values.tobytes()
    return header.format(size=len(header.format(size=0)) + 1 + len(body)).encode("ascii") + b"\x03" + body


def radolan_name(time, product="ry"):
    """Returns DWD's name of a RADOLAN file, without `.gz`."""
    return f"raa01-{product}_10000-{digits(time, '%y%m%d%H%M')}-dwd---bin"


def pgm(time, values, **changes):
    """Returns the content of a PGM file of FMI; `changes` replace what its header says."""
    said = {
        "composite_area": "FIN",
        "projection_name": "SUOMI1",
        "obstime": digits(time),
        "producttype": "CAPPI",
        "productname": "LOWEST",
        "param": "CorrectedReflectivity",
        "metersperpixel_x": "999.674053",
        "metersperpixel_y": "999.62859",
        "projection": "radar {",
        "type": "stereographic",
        "centrallongitude": "25",
        "centrallatitude": "90",
        "truelatitude": "60",
        "bottomleft": "18.600000 57.930000",
        "topright": "34.903000 69.005000",
    } | changes
    lines = "".join(f"# {name} {value}\n" for name, value in said.items() if value is not None)
    height, width = values.shape
    return f"P5\n{lines}# }}\n{width} {height}\n255\n".encode() + values.astype(np.uint8).tobytes()


def write_gif(path, time, values, product="AQC", comment=True, palette=None):
    """Writes a GIF file of MeteoSwiss, 640 x 710; `palette` has a row (red, green, blue) for each number."""
    picture = Image.fromarray(values.astype(np.uint8), "L").convert("P")
    grey = np.repeat(np.arange(256), 3)
    picture.putpalette(np.asarray(grey if palette is None else palette, np.uint8).tobytes())
    said = f"generated by Meteoswiss\nPRDT={product}{digits(time, '%y%j%H%M')} ACCUm=000005 "
    picture.save(path, "GIF", **({"comment": said.encode()} if comment else {}))
    return path


def write_geotiff(path, time, values, items=None, **changes):
    """Writes a GeoTIFF file of FMI; `items` replace those of its metadata, None leaves one out."""
    import rasterio

    said = {
        "Observation time": ("", digits(time)),
        "Quantity": ("dBZ", "Corrected reflectivity"),
        "Gain": ("", "0.5"),
        "Offset": ("", "-32.0"),
        "Nodata": ("", "255"),
        "Undetect": ("", "0"),
    } | (items or {})
    lines = "".join(
        f'<Item name="{name}" unit="{item[0]}">{item[1]}</Item>' for name, item in said.items() if item
    )
    profile = {
        "driver": "GTiff",
        "height": values.shape[0],
        "width": values.shape[1],
        "count": 1,
        "dtype": "uint8",
        "crs": "EPSG:3067",
        "transform": rasterio.Affine(250.0, 0, -196000.0, 0, -250.0, 8084000.0),
        "compress": "deflate",
    } | changes
    with rasterio.open(path, "w", **profile) as file:
        for band in file.indexes:
            file.write(values.astype(profile["dtype"]), band)
        file.update_tags(GDAL_METADATA=f"<GDALMetadata>{lines}</GDALMetadata>")
    return path


def grib(time, values, *, number=1, category=6, discipline=209):
    """Returns the content of a GRIB2 file of MRMS, rows from north to south, in tenths of mm/h."""
    height, width = values.shape
    when = time.astype("datetime64[s]").item()
    north, west, step = 55_000_000, 230_000_000, 10_000  # millionths of a degree

    def section(kind, content):
        return struct.pack(">IB", 5 + len(content), kind) + content

    origin = struct.pack(">HHBBBHBBBBBBB", 161, 0, 255, 1, 3, *when.timetuple()[:6], 2, 7)
    grid = struct.pack(">BIBBH", 0, height * width, 0, 0, 0) + struct.pack(
        ">BBIBIBIIIIIIIBIIIIB",
        *(2, 1, 6367470, 1, 6378160, 1, 6356775, width, height, 1, 1_000_000),
        *(north - step // 2, west + step // 2, 48, north - step * height + step // 2),
        *(west + step * width - step // 2, step, step, 0),
    )
    product = struct.pack(">HH", 0, 0) + struct.pack(
        ">BBBBBHBBIBbIBbI", category, number, 8, 0, 97, 0, 0, 0, 0, 102, 0, 0, 255, 1, 0
    )
    raw = np.rint(np.asarray(values) * 10).astype(int)
    # value = (reference + packed 2^0) / 10^1
    packing = struct.pack(">IH", height * width, 41) + struct.pack(">fHHBB", raw.min(), 0, 1, 16, 0)
    picture = io.BytesIO()
    Image.fromarray((raw - raw.min()).astype(np.uint16)).save(picture, "PNG")
    content = picture.getvalue()
    body = b"".join(
        (
            section(1, origin),
            section(3, grid),
            section(4, product),
            section(5, packing),
            section(6, b"\xff"),
            section(7, content),
            b"7777",
        )
    )
    return b"GRIB\0\0" + bytes([discipline, 2]) + struct.pack(">Q", 16 + len(body)) + body


def write_rainfields(path, time, values, minutes=10, units="kg m-2"):
    """Writes a NetCDF file of Rainfields, whose coordinates are in kilometres."""
    import xarray as xr

    height, width = values.shape
    seconds = {"units": "seconds since 1970-01-01 00:00:00 UTC"}
    stored = values.astype(np.int16)
    end = time.astype("datetime64[s]").astype(np.int64)
    data = xr.Dataset(
        {
            "precipitation": (
                ("y", "x"),
                stored,
                {"units": units, "add_offset": 0.0, "scale_factor": 0.05, "grid_mapping": "proj"}
                | {"_FillValue": np.int16(-1), "standard_name": "precipitation_amount"},
            ),
            "proj": (
                (),
                np.int8(0),
                {
                    "grid_mapping_name": "albers_conical_equal_area",
                    "standard_parallel": [-26.2, -29.3],
                    "longitude_of_central_meridian": 153.24,
                    "latitude_of_projection_origin": -27.7178,
                    "false_easting": 0.0,
                    "false_northing": 0.0,
                    "semi_major_axis": 6378137.0,
                    "semi_minor_axis": 6356752.31414,
                },
            ),
            "start_time": ((), end - 60 * minutes, seconds),
            "valid_time": ((), end, seconds),
        },
        {
            "x": ("x", (np.arange(width) - (width - 1) / 2) * 0.5, {"units": "km"}),
            "y": ("y", ((height - 1) / 2 - np.arange(height)) * 0.5, {"units": "km"}),
        },
        {"title": "Bias Corrected Radar Accumulation", "station_name": "MtStapl"},
    )
    data.to_netcdf(path, engine="h5netcdf")
    return path
