// Copy it and fill it in. Secrets come from the environment of the shell that deploys, and go to the Key Vault.
using './main.bicep'

param registryName = 'contractor'
param image = 'scim-bridge:0.1.0'
param ditioClientId = '…'
param ditioClientSecret = readEnvironmentVariable('DITIO_CLIENT_SECRET')
param databasePassword = readEnvironmentVariable('DATABASE_PASSWORD')
param metricsToken = readEnvironmentVariable('METRICS_TOKEN')
