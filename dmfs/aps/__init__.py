"""The endpoints of Autodesk Platform Services. Only this package spells their words."""
