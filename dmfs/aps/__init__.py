"""The endpoints of Autodesk Platform Services. No other package spells their paths and keys."""
