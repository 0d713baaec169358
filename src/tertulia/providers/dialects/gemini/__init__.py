"""Google Gemini: `generateContent` and `streamGenerateContent` (Providers, 4.4)."""
