"""Broken products, each made from outside by one small patch."""
