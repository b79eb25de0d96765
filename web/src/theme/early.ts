// Runs before the first paint: the theme the user chose, where it differs from the system's. A classic script: no imports.
{
  let theme: string | null = null;
  try {
    theme = localStorage.getItem('minimax-theme');
  } catch {
    // No storage in this browser: the system's theme.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
}
