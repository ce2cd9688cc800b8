"""What only models of published projects need between the image and the people: their rules at test time.

A model file states these rules as plain values (`conventions.Conventions`, `DecodeConfig`); the functions here carry
them out. No model that this project trains uses any of them.
"""
