"""The types of files that design and construction work with, by the ends of their names. Pure.

A file manager that does not know a type from the name opens the file and reads its start. Each such
open is a request to the service, so a folder of models costs as many as there are models.

What shared-mime-info knows (dwg, dxf, iges, stl, gltf, 3mf, blend, pln …) is not here. For obj and
3ds it knows two types each, which no further glob can mend: those are opened as before.
No type is a kind of zip or of text, although some are: file managers would unpack a design of
gigabytes, or load it into a text editor, where no program for it is installed.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL, DRAWING, CLOUD, PART, ASSEMBLY, ARCHIVE = (
    "dmfs-model", "dmfs-drawing", "dmfs-point-cloud", "dmfs-part", "dmfs-assembly",
    "dmfs-design-archive",
)  # fmt: skip
"""Kinds, and the names of their icons."""
TABLE = """
application/vnd.autodesk.revit|rvt|m|Revit model|Revit-Modell|Maquette Revit
application/vnd.autodesk.revit.family|rfa|p|Revit family|Revit-Familie|Famille Revit
application/vnd.autodesk.revit.template|rte|m|Revit template|Revit-Vorlage|Gabarit Revit
application/vnd.autodesk.revit.family-template|rft|p|Revit family template|Revit-Familienvorlage|\
Gabarit de famille Revit
application/vnd.autodesk.navisworks|nwd|m|Navisworks model|Navisworks-Modell|Maquette Navisworks
application/vnd.autodesk.navisworks.cache|nwc|m|Navisworks cache|Navisworks-Cache|Cache Navisworks
application/vnd.autodesk.navisworks.file-set|nwf|a|Navisworks file set|Navisworks-Dateisatz|\
Jeu de fichiers Navisworks
application/vnd.autodesk.fusion360|f3d|m|Fusion design|Fusion-Konstruktion|Conception Fusion
application/vnd.autodesk.fusion360.archive|f3z|z|Fusion archive|Fusion-Archiv|Archive Fusion
application/vnd.autodesk.fusion360.drawing|f2d f2t|d|Fusion drawing|Fusion-Zeichnung|Dessin Fusion
application/vnd.autodesk.inventor.part|ipt|p|Inventor part|Inventor-Bauteil|Pièce Inventor
application/vnd.autodesk.inventor.assembly|iam|a|Inventor assembly|Inventor-Baugruppe|\
Assemblage Inventor
application/vnd.autodesk.inventor.drawing|idw|d|Inventor drawing|Inventor-Zeichnung|Dessin Inventor
application/vnd.autodesk.inventor.presentation|ipn|a|Inventor presentation|Inventor-Präsentation|\
Présentation Inventor
application/vnd.autodesk.inventor.ifeature|ide|p|Inventor iFeature|Inventor-iFeature|\
iFeature Inventor
application/vnd.autodesk.autocad.template|dwt|d|AutoCAD template|AutoCAD-Vorlage|Gabarit AutoCAD
application/vnd.autodesk.autocad.standards|dws|d|AutoCAD standards|AutoCAD-Standards|\
Normes AutoCAD
application/vnd.autodesk.recap.project|rcp|c|ReCap project|ReCap-Projekt|Projet ReCap
application/vnd.autodesk.recap.scan|rcs|c|ReCap scan|ReCap-Scan|Relevé ReCap
application/vnd.autodesk.alias.wire|wire|m|Alias model|Alias-Modell|Modèle Alias
application/vnd.autodesk.3dsmax|max|m|3ds Max scene|3ds-Max-Szene|Scène 3ds Max
application/vnd.autodesk.fbx|fbx|m|FBX scene|FBX-Szene|Scène FBX
application/vnd.autodesk.shape-manager|smt smb|m|ShapeManager model|ShapeManager-Modell|\
Modèle ShapeManager
model/vnd.dwf|dwf|d|DWF publication|DWF-Veröffentlichung|Publication DWF
model/vnd.dwfx+xps|dwfx|d|DWFx publication|DWFx-Veröffentlichung|Publication DWFx
image/vnd.dgn|dgn|d|MicroStation design|MicroStation-Zeichnung|Dessin MicroStation
application/x-ifc|ifc|m|IFC building model|IFC-Gebäudemodell|Maquette IFC
application/x-ifc+xml|ifcxml|m|IFC building model (XML)|IFC-Gebäudemodell (XML)|Maquette IFC (XML)
application/x-ifc+zip|ifczip|m|IFC building model (compressed)|IFC-Gebäudemodell (komprimiert)|\
Maquette IFC (compressée)
application/x-bcf|bcf bcfzip|m|BIM collaboration topics|BIM-Kollaborationsthemen|\
Sujets de collaboration BIM
model/step|step stp ste p21|m|STEP model|STEP-Modell|Modèle STEP
model/step+zip|stpz|m|STEP model (compressed)|STEP-Modell (komprimiert)|Modèle STEP (compressé)
model/step+xml|stpx|m|STEP model (XML)|STEP-Modell (XML)|Modèle STEP (XML)
model/jt|jt|m|JT model|JT-Modell|Modèle JT
model/vnd.parasolid.transmit-text|x_t xmt_txt|p|Parasolid model|Parasolid-Modell|Modèle Parasolid
model/vnd.parasolid.transmit-binary|x_b xmt_bin|p|Parasolid model (binary)|\
Parasolid-Modell (binär)|Modèle Parasolid (binaire)
application/x-acis|sat sab asat|p|ACIS model|ACIS-Modell|Modèle ACIS
application/x-solidworks-part|sldprt prtdot|p|SolidWorks part|SolidWorks-Teil|Pièce SolidWorks
application/x-solidworks-assembly|sldasm asmdot|a|SolidWorks assembly|SolidWorks-Baugruppe|\
Assemblage SolidWorks
application/x-solidworks-drawing|slddrw drwdot|d|SolidWorks drawing|SolidWorks-Zeichnung|\
Mise en plan SolidWorks
application/x-catia-part|catpart|p|CATIA part|CATIA-Teil|Pièce CATIA
application/x-catia-product|catproduct|a|CATIA product|CATIA-Produkt|Produit CATIA
application/x-catia-drawing|catdrawing|d|CATIA drawing|CATIA-Zeichnung|Dessin CATIA
application/x-catia-graphics|cgr|m|CATIA graphics|CATIA-Grafik|Graphique CATIA
application/x-3dxml|3dxml|m|3DXML model|3DXML-Modell|Modèle 3DXML
application/x-cad-part|prt|p|CAD part (NX, Creo)|CAD-Teil (NX, Creo)|Pièce CAO (NX, Creo)
application/x-cad-assembly|asm|a|CAD assembly (Creo, Solid Edge)|\
CAD-Baugruppe (Creo, Solid Edge)|Assemblage CAO (Creo, Solid Edge)
application/x-creo-neutral|neu|m|Creo neutral file|Creo-Neutraldatei|Fichier neutre Creo
application/x-solid-edge-part|par psm|p|Solid Edge part|Solid-Edge-Teil|Pièce Solid Edge
application/x-solid-edge-draft|dft|d|Solid Edge draft|Solid-Edge-Zeichnung|Mise en plan Solid Edge
application/vnd.sketchup.skp|skp skb|m|SketchUp model|SketchUp-Modell|Modèle SketchUp
model/vnd.3dm|3dm|m|Rhino model|Rhino-Modell|Modèle Rhino
application/x-vectorworks|vwx|m|Vectorworks model|Vectorworks-Modell|Modèle Vectorworks
application/x-tekla-model|db1|m|Tekla model|Tekla-Modell|Modèle Tekla
model/vnd.collada+xml|dae|m|COLLADA scene|COLLADA-Szene|Scène COLLADA
model/vnd.usd|usd usdc|m|USD scene|USD-Szene|Scène USD
model/vnd.usda|usda|m|USD scene (text)|USD-Szene (Text)|Scène USD (texte)
model/vnd.usdz+zip|usdz|m|USD scene (package)|USD-Szene (Paket)|Scène USD (paquet)
application/x-ply|ply|m|Polygon mesh|Polygonnetz|Maillage de polygones
model/x3d+xml|x3d|m|X3D scene|X3D-Szene|Scène X3D
model/u3d|u3d|m|U3D model|U3D-Modell|Modèle U3D
model/e57|e57|c|E57 point cloud|E57-Punktwolke|Nuage de points E57
application/vnd.las|las|c|LAS point cloud|LAS-Punktwolke|Nuage de points LAS
application/vnd.laszip|laz|c|LAZ point cloud|LAZ-Punktwolke|Nuage de points LAZ
application/x-pts|pts ptx ptg|c|Point cloud of a scanner|Punktwolke eines Scanners|\
Nuage de points d'un scanner
application/x-faro-scan|fls fws|c|FARO scan|FARO-Scan|Relevé FARO
application/x-zf-scan|zfs zfprj|c|Z+F scan|Z+F-Scan|Relevé Z+F
application/x-potree|pcg|c|Point cloud|Punktwolke|Nuage de points
"""
"""type|ends of names|kind|in English|in German|in French"""

ALIASES = {
    "application/x-ifc": ("application/x-extension-ifc", "model/ifc"),
    "model/step": ("application/step", "application/x-step"),
    "application/vnd.sketchup.skp": ("application/x-sketchup", "application/vnd.sketchup"),
    "model/vnd.3dm": ("application/x-3dm",),
    "model/vnd.dwf": ("drawing/x-dwf", "application/x-dwf"),
    "application/vnd.autodesk.fbx": ("application/x-fbx", "model/x-fbx"),
    "model/vnd.usdz+zip": ("model/usd",),
    "application/vnd.autodesk.inventor.part": ("application/x-inventor-part",),
}
"""Other names that programs use."""
KIND_OF = {
    "application/vnd.autodesk.revit.family": "application/vnd.autodesk.revit",
    "application/vnd.autodesk.revit.template": "application/vnd.autodesk.revit",
    "application/vnd.autodesk.revit.family-template": "application/vnd.autodesk.revit",
    "application/vnd.autodesk.navisworks.cache": "application/vnd.autodesk.navisworks",
    "application/vnd.autodesk.navisworks.file-set": "application/vnd.autodesk.navisworks",
    "application/vnd.autodesk.autocad.template": "image/vnd.dwg",
    "application/vnd.autodesk.autocad.standards": "image/vnd.dwg",
}
"""What opens the second opens the first."""
UNSURE = {"asm": 40}
"""Weights of globs, where not 50: it may be the source text of a program, too."""
_KINDS = {"m": MODEL, "d": DRAWING, "c": CLOUD, "p": PART, "a": ASSEMBLY, "z": ARCHIVE}


@dataclass(frozen=True, slots=True)
class FileType:
    """One type."""

    name: str
    """``application/vnd.autodesk.revit``"""
    extensions: tuple[str, ...]
    """In lower case, without the dot; they match in any case."""
    icon: str
    """The name of its kind's icon."""
    words: dict[str, str]
    """What people call it, by language: ``en``, ``de``, ``fr``."""


def file_types() -> list[FileType]:
    """All types, in the table's order."""
    found = []
    for line in TABLE.strip().splitlines():
        name, extensions, kind, english, german, french = line.split("|")
        words = {"en": english, "de": german, "fr": french}
        found.append(FileType(name, tuple(extensions.split()), _KINDS[kind], words))
    return found
