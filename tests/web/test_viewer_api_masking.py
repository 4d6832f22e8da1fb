"""Pseudonyms: nothing that the API answers tells who the patients are."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_folder import DATA, needs_data
from viewer_client import Client, run_viewer, write_series

SECRETS = ("SCHMIDT", "Schmidt", "schmidt", "KARLA", "Karla", "PID-4711", "19700102", "Musterhausen", "ACC-9", "Doktor")


def fill_folder(folder: Path) -> None:
    """Write a series whose header, folder and file names tell who the patient is."""
    write_series(
        folder / "SCHMIDT_KARLA",
        2,
        PatientName="SCHMIDT^KARLA",
        PatientID="PID-4711",
        PatientBirthDate="19700102",
        PatientAddress="Musterhausen",
        AccessionNumber="ACC-9",
        ReferringPhysicianName="Doktor^Dora",
        SeriesDescription="Knee of Schmidt",
        StudyDescription="pid-4711 follow-up",
        PatientSex="F",
        # A series that cannot be drawn, so that messages are asked for as well.
        BitsStored=12,
    )


def ask_everything(client: Client) -> list[tuple[str, bytes]]:
    """Everything that the API tells of the files."""
    routes = ["health", "files", "series", "annotations/export.csv", "file/99/info", "file/0/frame/9", "nothing"]
    for file in client.wait_for_scan():
        at = f"file/{file['index']}"
        client.put(f"{at}/annotations", {"roi_coords": [[1, 1, 5, 5]]})
        routes += [f"{at}/{what}" for what in ("info", "tags", "tags?path=00100010.0", "annotations", "frame/0/raw")]
        routes.append(f"series/{file['series']}")
    told = []
    for route in routes:
        got = client.get(route)
        told.append((route, got.body + str(got.headers).encode()))
    return told


def test_no_answer_tells_who_the_patient_is(tmp_path: Path) -> None:
    fill_folder(tmp_path)
    with run_viewer(tmp_path) as client:
        plain = b"".join(body for _, body in ask_everything(client))
    assert all(secret.encode() in plain for secret in ("SCHMIDT", "PID-4711", "19700102", "Musterhausen", "ACC-9"))
    with run_viewer(tmp_path, mask=True) as client:
        for route, body in ask_everything(client):
            for secret in SECRETS:
                assert secret.encode() not in body, (route, secret)
        assert client.get("health").json["masked"] is True
        (entry,) = client.get("series").json
        assert entry["patient_name"] == entry["patient_id"] == "patient-1"
        assert entry["description"] == "Knee of patient-1"
        nodes = {node["keyword"]: node for node in client.get("file/0/tags").json["nodes"]}
        assert nodes["PatientName"]["value"] == "patient-1"
        assert nodes["PatientSex"] == {
            "tag": "00100040",
            "vr": "CS",
            "keyword": "PatientSex",
            "varies": False,
            "value": None,
            "masked": True,
        }
        assert nodes["Modality"]["value"] == "CT"
        assert client.get("file/0/tags?path=00101002.0").json["code"] == "masked"


def test_patients_keep_apart_under_their_pseudonyms(tmp_path: Path) -> None:
    for number, name in enumerate(("A^Anna", "B^Berta", "A^Anna"), 1):
        write_series(tmp_path / str(number), 1, number, PatientName=name, PatientID=name[:1] * 4)
    with run_viewer(tmp_path, mask=True) as client:
        client.wait_for_scan()
        names = sorted(entry["patient_name"] for entry in client.get("series").json)
    assert names == ["patient-1", "patient-1", "patient-2"]


@needs_data
@pytest.mark.parametrize("folder", ["objects"])
def test_cards_of_masked_patients_name_nobody(folder: str) -> None:
    with run_viewer(DATA / folder, filters=["modality=RTSTRUCT"], mask=True) as client:
        client.wait_for_scan()
        for entry in client.get("series").json:
            assert client.get(f"series/{entry['id']}/preview").status == 200
